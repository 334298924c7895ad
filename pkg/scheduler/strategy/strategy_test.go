// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package strategy

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// everythingOn is Facts in which everything is on m1.
type everythingOn struct{ members sets.Set[string] }

func (e everythingOn) Footprint(string) sets.Set[string]      { return e.members }
func (e everythingOn) Landed(string) sets.Set[string]         { return e.members }
func (e everythingOn) Mounting(template.Key) sets.Set[string] { return e.members }

var (
	m1      = everythingOn{sets.New("m1")}
	nowhere = everythingOn{}
)

func kind(group, name string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: "v1", Kind: name}
}

func match(placement policyv1alpha1.Placement, selects string) *policy.Match {
	p := &policyv1alpha1.ClusterPropagationPolicy{}
	p.Spec.Placement = placement
	return &policy.Match{Policy: p, By: policy.Selector{Group: policy.Any, Kind: selects}}
}

var auto = policyv1alpha1.Placement{Auto: &policyv1alpha1.AutoPlacement{}}

func TestAutomatic(t *testing.T) {
	replicated := &template.Workload{Replicated: true, Pods: 3}
	duplicated := framework.Strategy{Pick: framework.PickAll, Division: framework.DivideNothing, Follow: framework.MemberAdded}
	followed := framework.Strategy{Pick: framework.PickAll, Division: framework.DivideNothing, Keep: true, Within: sets.New("m1")}
	single := framework.Strategy{Pick: framework.PickOne, Division: framework.DivideByCapacityOrBeyond}
	once := framework.Strategy{Pick: framework.PickOne, Division: framework.DivideNothing, Once: true}
	cases := map[string]struct {
		reason   string
		kind     schema.GroupVersionKind
		scope    string // namespace, empty for a cluster-scoped template
		workload *template.Workload
		facts    Facts
		placed   sets.Set[string]
		named    bool
		want     framework.Strategy
		hold     string
	}{
		"Deployment":      {reason: "Divided by what is free.", kind: kind("apps", "Deployment"), scope: "shop", workload: replicated, want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideByCapacityOrBeyond}},
		"WithVolume":      {reason: "One volume is in one place.", kind: kind("apps", "Deployment"), scope: "shop", workload: &template.Workload{Replicated: true, Claims: []string{"data"}}, want: single},
		"StatefulSet":     {reason: "One member.", kind: kind("apps", "StatefulSet"), scope: "shop", workload: replicated, want: single},
		"DaemonSet":       {reason: "Every member.", kind: kind("apps", "DaemonSet"), scope: "shop", workload: &template.Workload{}, want: duplicated},
		"Job":             {reason: "One member, once.", kind: kind("batch", "Job"), scope: "shop", workload: &template.Workload{Pods: 1}, want: once},
		"FinishedJob":     {reason: "Never twice.", kind: kind("batch", "Job"), scope: "shop", workload: &template.Workload{Finished: true}, want: once, hold: "it ran to its end"},
		"ConfigMap":       {reason: "The footprint.", kind: kind("", "ConfigMap"), scope: "shop", facts: m1, want: followed},
		"EarlyConfigMap":  {reason: "Nowhere before there is a footprint.", kind: kind("", "ConfigMap"), scope: "shop", want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideNothing, Keep: true, Within: sets.Set[string]{}}, hold: "its namespace has no workload"},
		"LateConfigMap":   {reason: "A footprint that is gone takes nothing away.", kind: kind("", "ConfigMap"), scope: "shop", placed: sets.New("m1"), want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideNothing, Keep: true, Within: sets.Set[string]{}}},
		"ClusterRole":     {reason: "Every member.", kind: kind("rbac.authorization.k8s.io", "ClusterRole"), want: duplicated},
		"Namespace":       {reason: "Where anything in it is.", kind: kind("", "Namespace"), facts: m1, want: followed},
		"Claim":           {reason: "Where its Pods are.", kind: kind("", "PersistentVolumeClaim"), scope: "shop", facts: m1, want: followed},
		"CustomResource":  {reason: "The footprint.", kind: kind("example.com", "Widget"), scope: "shop", facts: m1, want: followed},
		"EarlyResource":   {reason: "Every member before there is a footprint.", kind: kind("example.com", "Widget"), scope: "shop", want: duplicated},
		"Autoscaler":      {reason: "It stays in the fleet.", kind: kind("autoscaling", "HorizontalPodAutoscaler"), scope: "shop", facts: m1, hold: "no policy names its kind"},
		"NamedAutoscaler": {reason: "Unless a policy names it.", kind: kind("autoscaling", "HorizontalPodAutoscaler"), scope: "shop", facts: m1, named: true, want: followed},
		"NamedVolume":     {reason: "A cluster-scoped one goes everywhere then.", kind: kind("", "PersistentVolume"), named: true, want: duplicated},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			custom := tc.kind.Group == "example.com"
			selects := policy.Any
			if tc.named {
				selects = tc.kind.Kind
			}
			facts := tc.facts
			if facts == nil {
				facts = nowhere
			}
			plan, err := For(Input{
				Template: &template.Template{Kind: tc.kind, ObjectMeta: metav1.ObjectMeta{Namespace: tc.scope, Name: "x"}, Workload: tc.workload},
				Kind:     template.KindOf(tc.kind, tc.scope != "", custom),
				Match:    match(auto, selects),
				Placed:   tc.placed,
			}, facts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, plan.Strategy); diff != "" {
				t.Errorf("\n%s\nstrategy: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.hold, plan.Hold); diff != "" {
				t.Errorf("\n%s\nhold: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	divided := policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{ReplicaSchedulingType: policyv1alpha1.Divided}}
	overflow := policyv1alpha1.Placement{ClusterAffinities: []policyv1alpha1.ClusterAffinityTerm{{OverflowAffinities: []policyv1alpha1.ClusterAffinity{{}}}}}
	withOverflow := func(p policyv1alpha1.Placement) policyv1alpha1.Placement {
		p.ClusterAffinities = overflow.ClusterAffinities
		return p
	}
	hint := func(key, value string) map[string]string { return map[string]string{key: value} }
	cases := map[string]struct {
		reason    string
		kind      schema.GroupVersionKind
		hints     map[string]string
		placement policyv1alpha1.Placement
		want      error
	}{
		"OverflowDuplicated": {reason: "Copies do not overflow.", kind: kind("apps", "Deployment"), placement: overflow, want: ErrOverflowNeedsCapacity},
		"OverflowWeighted":   {reason: "Nor does a division that looks at no room.", kind: kind("apps", "Deployment"), placement: withOverflow(divided), want: ErrOverflowNeedsCapacity},
		"IndexedJob":         {reason: "Its Pods would have the same indexes.", kind: kind("batch", "Job"), placement: divided, want: ErrIndexed},
		"HintedPod":          {reason: "There is nothing to divide.", kind: kind("", "Pod"), placement: auto, hints: hint(wellknown.AnnotationPlacement, "divided"), want: ErrNoReplicas},
		"WrongHint":          {reason: "A hint that is none.", kind: kind("apps", "Deployment"), placement: auto, hints: hint(wellknown.AnnotationPlacement, "x")},
		"WrongSelector":      {reason: "A selector that is none.", kind: kind("apps", "Deployment"), placement: auto, hints: hint(wellknown.AnnotationClusters, "a in")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := For(Input{
				Template: &template.Template{
					Kind:       tc.kind,
					ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", Annotations: tc.hints},
					Workload:   &template.Workload{Replicated: tc.kind.Group == "apps", Divisible: tc.kind.Group == "apps"},
				},
				Kind:  template.KindOf(tc.kind, true, false),
				Match: match(tc.placement, policy.Any),
			}, nowhere)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("\n%s\nFor(...): want error %v, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

// TestDuplicatedHintIsRecorded: who renders the template has to see from the
// placement that replicas are not divided.
func TestDuplicatedHintIsRecorded(t *testing.T) {
	in := Input{
		Template: &template.Template{
			Kind:       kind("apps", "Deployment"),
			ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{wellknown.AnnotationPlacement: wellknown.PlacementDuplicated}},
			Workload:   &template.Workload{Replicated: true},
		},
		Kind:  template.KindOf(kind("apps", "Deployment"), true, false),
		Match: match(auto, policy.Any),
	}
	plan, err := For(in, nowhere)
	if err != nil {
		t.Fatal(err)
	}
	want := &policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{ReplicaSchedulingType: policyv1alpha1.Duplicated}}
	if diff := cmp.Diff(want, plan.Placement); diff != "" {
		t.Errorf("placement: -want, +got:\n%s", diff)
	}
	if in.Match.Policy.GetSpec().Placement.Auto == nil {
		t.Error("the policy itself was changed")
	}
}

func TestExplicitStrategies(t *testing.T) {
	divided := func(preference policyv1alpha1.ReplicaDivisionPreference, weights *policyv1alpha1.ClusterPreferences) policyv1alpha1.Placement {
		return policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
			ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: preference, WeightPreference: weights,
		}}
	}
	dynamic := &policyv1alpha1.ClusterPreferences{DynamicWeight: policyv1alpha1.DynamicWeightByAvailableReplicas}
	replicated := &template.Workload{Replicated: true, Divisible: true}
	overflowing := divided(policyv1alpha1.Aggregated, nil)
	overflowing.ClusterAffinities = []policyv1alpha1.ClusterAffinityTerm{
		{AffinityName: "first", OverflowAffinities: []policyv1alpha1.ClusterAffinity{{}, {}}},
		{AffinityName: "second"},
	}
	cases := map[string]struct {
		reason    string
		kind      schema.GroupVersionKind
		workload  *template.Workload
		placement policyv1alpha1.Placement
		want      framework.Strategy
		terms     []string
	}{
		"Weighted":    {reason: "Without a preference by weight.", kind: kind("apps", "Deployment"), workload: replicated, placement: divided("", nil), want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideByWeight, Follow: framework.MemberAdded}, terms: []string{"+0"}},
		"StatefulSet": {reason: "By room, with ordinals of their own.", kind: kind("apps", "StatefulSet"), workload: replicated, placement: divided(policyv1alpha1.Weighted, dynamic), want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideByCapacity, Follow: framework.MemberAdded}, terms: []string{"+0"}},
		"Job":         {reason: "What it has to complete is divided once.", kind: kind("batch", "Job"), workload: &template.Workload{Divisible: true}, placement: divided(policyv1alpha1.Aggregated, nil), want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideAggregated, Once: true, Follow: framework.MemberAdded}, terms: []string{"+0"}},
		"DaemonSet":   {reason: "It has no replicas to divide.", kind: kind("apps", "DaemonSet"), workload: &template.Workload{}, placement: divided("", nil), want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideNothing, Follow: framework.MemberAdded}, terms: []string{"+0"}},
		"Overflow":    {reason: "Terms are kept in their order.", kind: kind("apps", "Deployment"), workload: replicated, placement: overflowing, want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideAggregated, Follow: framework.MemberAdded}, terms: []string{"first+2", "second+0"}},
		"ConfigMap":   {reason: "Configuration goes wherever its users may.", kind: kind("", "ConfigMap"), placement: overflowing, want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideNothing, Follow: framework.MemberAdded}, terms: []string{"first+2", "second+0"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			plan, err := For(Input{
				Template: &template.Template{Kind: tc.kind, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x"}, Workload: tc.workload},
				Kind:     template.KindOf(tc.kind, true, false),
				Match:    match(tc.placement, tc.kind.Kind),
			}, nowhere)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, plan.Strategy); diff != "" {
				t.Errorf("\n%s\nstrategy: -want, +got:\n%s", tc.reason, diff)
			}
			var terms []string
			for _, term := range plan.Terms {
				terms = append(terms, fmt.Sprintf("%s+%d", term.Name, len(term.Overflow)))
			}
			if diff := cmp.Diff(tc.terms, terms); diff != "" {
				t.Errorf("\n%s\nterms: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestHintsOfNamespaces divides what can be divided of a namespace, and nothing else.
func TestHintsOfNamespaces(t *testing.T) {
	cases := map[string]struct {
		reason   string
		kind     schema.GroupVersionKind
		workload template.Workload
		want     framework.Strategy
	}{
		"StatefulSet": {
			reason: "It has replicas.", kind: kind("apps", "StatefulSet"), workload: template.Workload{Replicated: true, Divisible: true},
			want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideByCapacityOrBeyond},
		},
		"DaemonSet": {
			reason: "One per node is not divided: it goes everywhere.", kind: kind("apps", "DaemonSet"),
			want: framework.Strategy{Pick: framework.PickAll, Division: framework.DivideNothing, Follow: framework.MemberAdded},
		},
		"Job": {
			reason: "A Job runs once, in one member.", kind: kind("batch", "Job"), workload: template.Workload{Divisible: true},
			want: framework.Strategy{Pick: framework.PickOne, Division: framework.DivideNothing, Once: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			plan, err := For(Input{
				Template:       &template.Template{Kind: tc.kind, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x"}, Workload: &tc.workload},
				Kind:           template.KindOf(tc.kind, true, false),
				Match:          match(policyv1alpha1.Placement{Auto: &policyv1alpha1.AutoPlacement{}}, policy.Any),
				NamespaceHints: map[string]string{wellknown.AnnotationPlacement: wellknown.PlacementDivided},
			}, nowhere)
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, plan.Strategy); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	placement := policyv1alpha1.Placement{WorkloadAffinity: &policyv1alpha1.WorkloadAffinity{
		Affinity:     &policyv1alpha1.WorkloadAffinityTerm{GroupByLabelKey: "app"},
		AntiAffinity: &policyv1alpha1.WorkloadAffinityTerm{GroupByLabelKey: "tier"},
	}}
	plan, err := For(Input{
		Template: &template.Template{
			Kind: kind("apps", "Deployment"), ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", Labels: map[string]string{"app": "web"}},
			Workload: &template.Workload{},
		},
		Match: match(placement, policy.Any),
	}, nowhere)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Group{Namespace: "shop", Key: "app", Value: "web"}, plan.Together); diff != "" {
		t.Errorf("together: -want, +got:\n%s", diff)
	}
	if plan.Apart != nil {
		t.Errorf("a template without the label is in no group, got %+v", plan.Apart)
	}
}
