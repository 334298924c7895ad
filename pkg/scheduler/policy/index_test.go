// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

type option func(*policyv1alpha1.PropagationSpec)

func priority(p int32) option { return func(s *policyv1alpha1.PropagationSpec) { s.Priority = p } }

func preempting(s *policyv1alpha1.PropagationSpec) { s.Preemption = policyv1alpha1.PreemptAlways }

func auto(s *policyv1alpha1.PropagationSpec) { s.Placement.Auto = &policyv1alpha1.AutoPlacement{} }

func namespaced(namespace, name string, by policyv1alpha1.ResourceSelector, options ...option) policyv1alpha1.Propagation {
	p := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{by}
	for _, set := range options {
		set(&p.Spec)
	}
	return p
}

func clusterWide(name string, by policyv1alpha1.ResourceSelector, options ...option) policyv1alpha1.Propagation {
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{by}
	for _, set := range options {
		set(&p.Spec)
	}
	return p
}

var (
	everything  = policyv1alpha1.ResourceSelector{APIVersion: Any, Kind: Any}
	deployments = policyv1alpha1.ResourceSelector{APIVersion: "apps/v1", Kind: "Deployment"}
	webByName   = policyv1alpha1.ResourceSelector{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	byApp       = policyv1alpha1.ResourceSelector{
		APIVersion: "apps/v1", Kind: "Deployment",
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
	}
)

func web() *template.Template {
	return &template.Template{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Labels: map[string]string{"app": "web"}},
		Kind:       schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
	}
}

func TestWinner(t *testing.T) {
	cases := map[string]struct {
		reason   string
		policies []policyv1alpha1.Propagation
		holder   *Ref
		want     *Ref
	}{
		"None": {
			reason:   "Policies about other things do not match.",
			policies: []policyv1alpha1.Propagation{namespaced("other", "p", deployments), clusterWide("s", policyv1alpha1.ResourceSelector{APIVersion: "v1", Kind: "Service"})},
		},
		"Wildcard": {
			reason:   "A wildcard picks every kind.",
			policies: []policyv1alpha1.Propagation{clusterWide("all", everything)},
			want:     &Ref{Name: "all"},
		},
		"NamespacedFirst": {
			reason:   "A namespaced policy wins over a cluster policy, whatever the priority.",
			policies: []policyv1alpha1.Propagation{clusterWide("c", webByName, priority(100)), namespaced("shop", "n", deployments)},
			want:     &Ref{Namespace: "shop", Name: "n"},
		},
		"PriorityFirst": {
			reason:   "An explicit priority wins over precision.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "exact", webByName), namespaced("shop", "high", deployments, priority(1))},
			want:     &Ref{Namespace: "shop", Name: "high"},
		},
		"NameOverLabels": {
			reason:   "A name is more precise than labels.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "a-labels", byApp), namespaced("shop", "b-name", webByName)},
			want:     &Ref{Namespace: "shop", Name: "b-name"},
		},
		"LabelsOverKind": {
			reason:   "Labels are more precise than a kind.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "a-kind", deployments), namespaced("shop", "b-labels", byApp)},
			want:     &Ref{Namespace: "shop", Name: "b-labels"},
		},
		"FirstName": {
			reason:   "Among equals the first name wins.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "b", deployments), namespaced("shop", "a", deployments)},
			want:     &Ref{Namespace: "shop", Name: "a"},
		},
		"HolderKeeps": {
			reason:   "A policy that does not preempt leaves templates with the policy that has them.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "old", deployments), namespaced("shop", "new", webByName, priority(5))},
			holder:   &Ref{Namespace: "shop", Name: "old"},
			want:     &Ref{Namespace: "shop", Name: "old"},
		},
		"Preempted": {
			reason:   "A preempting policy of higher priority takes them.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "old", deployments), namespaced("shop", "new", deployments, priority(5), preempting)},
			holder:   &Ref{Namespace: "shop", Name: "old"},
			want:     &Ref{Namespace: "shop", Name: "new"},
		},
		"PreemptedBySecond": {
			reason: "The best does not preempt; the next takes them from the holder.",
			policies: []policyv1alpha1.Propagation{
				namespaced("shop", "old", deployments), namespaced("shop", "best", deployments, priority(9)), namespaced("shop", "next", deployments, priority(5), preempting),
			},
			holder: &Ref{Namespace: "shop", Name: "old"},
			want:   &Ref{Namespace: "shop", Name: "next"},
		},
		"SamePriority": {
			reason:   "It takes more than precision to preempt.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "old", deployments), namespaced("shop", "new", webByName, preempting)},
			holder:   &Ref{Namespace: "shop", Name: "old"},
			want:     &Ref{Namespace: "shop", Name: "old"},
		},
		"NamespacedPreempts": {
			reason:   "A namespaced policy that preempts takes from cluster policies, whatever the priority.",
			policies: []policyv1alpha1.Propagation{clusterWide("old", webByName, priority(100)), namespaced("shop", "new", deployments, preempting)},
			holder:   &Ref{Name: "old"},
			want:     &Ref{Namespace: "shop", Name: "new"},
		},
		"ClusterDoesNot": {
			reason:   "A cluster policy takes nothing from a namespaced one.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "old", deployments), clusterWide("new", webByName, priority(100), preempting)},
			holder:   &Ref{Namespace: "shop", Name: "old"},
			want:     &Ref{Namespace: "shop", Name: "old"},
		},
		"AnyKindOfGroup": {
			reason:   "A wildcard may stand for the kinds of one group.",
			policies: []policyv1alpha1.Propagation{clusterWide("apps", policyv1alpha1.ResourceSelector{APIVersion: "apps/v1", Kind: Any})},
			want:     &Ref{Name: "apps"},
		},
		"OtherGroup": {
			reason:   "And for none of another.",
			policies: []policyv1alpha1.Propagation{clusterWide("batch", policyv1alpha1.ResourceSelector{APIVersion: "batch/v1", Kind: Any})},
		},
		"KindOfAnyGroup": {
			reason:   "Or for one kind in all groups.",
			policies: []policyv1alpha1.Propagation{clusterWide("any", policyv1alpha1.ResourceSelector{APIVersion: Any, Kind: "Deployment"})},
			want:     &Ref{Name: "any"},
		},
		"AnyByName": {
			reason:   "A wildcard with a name is as precise as the name.",
			policies: []policyv1alpha1.Propagation{clusterWide("a", byApp), clusterWide("b", policyv1alpha1.ResourceSelector{APIVersion: Any, Kind: Any, Name: "web"})},
			want:     &Ref{Name: "b"},
		},
		"AutoHoldsNothing": {
			reason:   "The zero-policy default gives way to any other policy.",
			policies: []policyv1alpha1.Propagation{clusterWide("fleet-default", everything, auto), namespaced("shop", "mine", deployments)},
			holder:   &Ref{Name: "fleet-default"},
			want:     &Ref{Namespace: "shop", Name: "mine"},
		},
		"DefaultIsLast": {
			reason:   "Any policy wins over the default, however low its priority.",
			policies: []policyv1alpha1.Propagation{clusterWide("fleet-default", deployments, auto), clusterWide("web", everything, priority(-7))},
			want:     &Ref{Name: "web"},
		},
		"KindOverAny": {
			reason:   "A kind is more precise than a wildcard.",
			policies: []policyv1alpha1.Propagation{clusterWide("a", everything), clusterWide("b", deployments)},
			want:     &Ref{Name: "b"},
		},
		"HolderGone": {
			reason:   "A holder that does not match any more is not kept.",
			policies: []policyv1alpha1.Propagation{namespaced("shop", "a", deployments)},
			holder:   &Ref{Namespace: "shop", Name: "gone"},
			want:     &Ref{Namespace: "shop", Name: "a"},
		},
		"OtherVersion": {
			reason:   "A selector picks the kind in every version.",
			policies: []policyv1alpha1.Propagation{clusterWide("beta", policyv1alpha1.ResourceSelector{APIVersion: "apps/v1beta1", Kind: "Deployment"})},
			want:     &Ref{Name: "beta"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			x := NewPropagations()
			for _, p := range tc.policies {
				if _, err := x.Set(p); err != nil {
					t.Fatalf("Set(...): unexpected error: %v", err)
				}
			}
			var got *Ref
			if match := x.Winner(web(), tc.holder); match != nil {
				ref := RefOf(match.Policy)
				got = &ref
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nWinner(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestSelectorsAreFound checks that the index finds exactly what Matches accepts,
// for every shape of selector.
func TestSelectorsAreFound(t *testing.T) {
	selectors := map[string]struct {
		reason string
		labels *metav1.LabelSelector
		want   bool
	}{
		"In":           {reason: "One of several values.", labels: requirement(metav1.LabelSelectorOpIn, "app", "api", "web"), want: true},
		"InOther":      {reason: "None of the values.", labels: requirement(metav1.LabelSelectorOpIn, "app", "api")},
		"Exists":       {reason: "Any value.", labels: requirement(metav1.LabelSelectorOpExists, "app"), want: true},
		"NotIn":        {reason: "Another value.", labels: requirement(metav1.LabelSelectorOpNotIn, "app", "api"), want: true},
		"DoesNotExist": {reason: "The label is there.", labels: requirement(metav1.LabelSelectorOpDoesNotExist, "app")},
		"Everything":   {reason: "An empty selector.", labels: &metav1.LabelSelector{}, want: true},
	}
	for name, tc := range selectors {
		t.Run(name, func(t *testing.T) {
			x := NewPropagations()
			if _, err := x.Set(clusterWide("p", policyv1alpha1.ResourceSelector{APIVersion: "apps/v1", Kind: "Deployment", LabelSelector: tc.labels})); err != nil {
				t.Fatalf("Set(...): unexpected error: %v", err)
			}
			if got := x.Winner(web(), nil) != nil; got != tc.want {
				t.Errorf("\n%s\nWinner(...): want found %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}

func TestSetReplacesAndDeleteForgets(t *testing.T) {
	x := NewPropagations()
	if _, err := x.Set(clusterWide("p", deployments)); err != nil {
		t.Fatal(err)
	}
	concerned, err := x.Set(clusterWide("p", policyv1alpha1.ResourceSelector{APIVersion: "v1", Kind: "Secret"}))
	if err != nil {
		t.Fatal(err)
	}
	want := []Selector{{Group: "apps", Kind: "Deployment"}, {Kind: "Secret"}}
	if diff := cmp.Diff(want, concerned); diff != "" {
		t.Errorf("Set(...) concerns what it picked and what it picks: -want, +got:\n%s", diff)
	}
	if match := x.Winner(web(), nil); match != nil {
		t.Errorf("Winner(...) after Set(...): want none, got %v", RefOf(match.Policy))
	}
	x.Delete(Ref{Name: "p"})
	if len(x.index.byKind) != 0 || len(x.index.entries) != 0 {
		t.Errorf("Delete(...) leaves %d kinds and %d policies in the index", len(x.index.byKind), len(x.index.entries))
	}
}

func TestOverridesOrder(t *testing.T) {
	x := NewOverrides()
	for _, ref := range []Ref{{"shop", "a"}, {"", "z"}, {"shop", "b"}, {"", "y"}, {"other", "c"}} {
		var p policyv1alpha1.Override = &policyv1alpha1.ClusterOverridePolicy{ObjectMeta: metav1.ObjectMeta{Name: ref.Name}}
		if ref.Namespace != "" {
			p = &policyv1alpha1.OverridePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}}
		}
		if _, err := x.Set(p); err != nil {
			t.Fatal(err)
		}
	}
	var got []Ref
	for _, p := range x.For(web()) {
		got = append(got, RefOf(p))
	}
	want := []Ref{{"", "y"}, {"", "z"}, {"shop", "a"}, {"shop", "b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("For(...): cluster policies first, then by name: -want, +got:\n%s", diff)
	}
}

func requirement(operator metav1.LabelSelectorOperator, key string, values ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
}

// TestCostOfMatching counts: policies about other kinds, namespaces, names and labels
// are not looked at, however many there are.
func TestCostOfMatching(t *testing.T) {
	other := []func(i int) policyv1alpha1.Propagation{
		func(i int) policyv1alpha1.Propagation {
			return namespaced(fmt.Sprintf("ns%d", i), "kind", deployments)
		},
		func(i int) policyv1alpha1.Propagation {
			return namespaced(fmt.Sprintf("ns%d", i), "any", everything)
		},
		func(i int) policyv1alpha1.Propagation {
			return clusterWide(fmt.Sprintf("kind%d", i), policyv1alpha1.ResourceSelector{APIVersion: "example.com/v1", Kind: fmt.Sprintf("Kind%d", i)})
		},
		func(i int) policyv1alpha1.Propagation {
			return clusterWide(fmt.Sprintf("name%d", i), policyv1alpha1.ResourceSelector{APIVersion: "apps/v1", Kind: "Deployment", Name: fmt.Sprintf("app%d", i)})
		},
		func(i int) policyv1alpha1.Propagation {
			return clusterWide(fmt.Sprintf("label%d", i), policyv1alpha1.ResourceSelector{
				APIVersion: Any, Kind: Any, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("app%d", i)}},
			})
		},
		func(i int) policyv1alpha1.Propagation {
			return namespaced("shop", fmt.Sprintf("key%d", i), policyv1alpha1.ResourceSelector{
				APIVersion: "apps/v1", Kind: "Deployment", LabelSelector: requirement(metav1.LabelSelectorOpExists, fmt.Sprintf("key%d", i)),
			})
		},
	}
	for _, n := range []int{0, 10, 10_000} {
		x := NewPropagations()
		for i := range n {
			for _, policyOf := range other {
				if _, err := x.Set(policyOf(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, p := range []policyv1alpha1.Propagation{clusterWide("fleet-default", everything, auto), namespaced("shop", "web", byApp)} {
			if _, err := x.Set(p); err != nil {
				t.Fatal(err)
			}
		}
		looked := 0
		for range x.index.candidates(web()) {
			looked++
		}
		if looked != 2 {
			t.Errorf("selectors looked at among %d others: want the 2 that match, got %d", n*len(other), looked)
		}
		if winner := x.Winner(web(), nil); winner == nil || winner.Policy.GetName() != "web" {
			t.Errorf("among %d others the wrong policy wins: %v", n*len(other), winner)
		}
	}
}

// BenchmarkWinner shows that policies about other things cost nothing: the time
// is the same for ten and for ten thousand.
func BenchmarkWinner(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			x := NewPropagations()
			for i := range n {
				other := byApp
				other.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("app%d", i)}}
				if _, err := x.Set(namespaced("shop", fmt.Sprintf("p%d", i), other)); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := x.Set(clusterWide("fleet-default", everything, auto)); err != nil {
				b.Fatal(err)
			}
			t := web()
			b.ReportAllocs()
			for b.Loop() {
				x.Winner(t, nil)
			}
		})
	}
}
