// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
)

var databases = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Database"}

func answerOf(text string) *configv1alpha1.CustomizationRule {
	if text == "" {
		return nil
	}
	return &configv1alpha1.CustomizationRule{Expression: text}
}

// answers are the expressions of a customization.
type answers struct{ replicas, revision, components, dependencies, health string }

func (a answers) interpreter() *interpreter.Interpreter {
	return interpreter.New([]*configv1alpha1.ResourceInterpreterCustomization{{
		ObjectMeta: metav1.ObjectMeta{Name: "databases"},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target: configv1alpha1.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Database"},
			Customizations: configv1alpha1.CustomizationRules{
				ReplicaResource: answerOf(a.replicas), ReplicaRevision: answerOf(a.revision), ComponentResource: answerOf(a.components),
				DependencyInterpretation: answerOf(a.dependencies), HealthInterpretation: answerOf(a.health),
			},
		},
	}}, nil)
}

func TestInterpreted(t *testing.T) {
	const (
		replicas = `Replicas{replicas: object.spec.size}`
		revision = `Object{spec: Object.spec{size: replicas}}`
	)
	needs := &workv1alpha1.ReplicaRequirements{Namespace: "shop"}
	cases := map[string]struct {
		reason   string
		answers  answers
		wantAuto Auto
		wantRuns bool
		want     Traits
	}{
		"Nothing": {
			reason:  "What nobody speaks of is placed as every custom resource.",
			answers: answers{health: "true"}, wantAuto: AutoFootprintOrEverywhere,
		},
		"Divided": {
			reason:  "Replicas that can be set can be divided.",
			answers: answers{replicas: replicas, revision: revision}, wantAuto: AutoDivided, wantRuns: true,
			want: Traits{Workload: &Workload{Pods: 3, Replicated: true, Divisible: true, Requirements: needs}},
		},
		"Once": {
			reason:  "Nothing tells that others may run twice.",
			answers: answers{replicas: replicas}, wantAuto: AutoOnce, wantRuns: true,
			want: Traits{Workload: &Workload{Pods: 3, Requirements: needs}},
		},
		"Components": {
			reason:  "Several sorts of Pods count for themselves.",
			answers: answers{components: `[Component{name: "b", replicas: 2}, Component{name: "a", replicas: 1}]`}, wantAuto: AutoOnce, wantRuns: true,
			want: Traits{Workload: &Workload{Components: []workv1alpha1.Component{
				{Name: "a", Replicas: 1, ReplicaRequirements: needs}, {Name: "b", Replicas: 2, ReplicaRequirements: needs},
			}}},
		},
		"ReplicasBeforeComponents": {
			reason:  "Who counts replicas has one sort.",
			answers: answers{replicas: replicas, components: `[Component{name: "a", replicas: 1}]`}, wantAuto: AutoOnce, wantRuns: true,
			want: Traits{Workload: &Workload{Pods: 3, Requirements: needs}},
		},
		"NoWorkload": {
			reason:  "An object may be none, though its kind is.",
			answers: answers{replicas: `object.spec.size > 5 ? dyn(Replicas{replicas: 1}) : dyn(null)`}, wantAuto: AutoOnce, wantRuns: true,
		},
		"Dependencies": {
			reason: "By name and by labels; they make no workload.",
			answers: answers{dependencies: `[
				Dependency{apiVersion: "v1", kind: "Secret", namespace: object.metadata.namespace, name: "b"},
				Dependency{apiVersion: "v1", kind: "Secret", namespace: object.metadata.namespace, name: "a"},
				Dependency{apiVersion: "other.com/v1", kind: "Pool", labelSelector: {"matchLabels": {"x": "y"}}}]`},
			wantAuto: AutoFootprintOrEverywhere,
			want: Traits{Links: &Links{
				Needs:    []Key{{Kind: "Secret", Namespace: "shop", Name: "a"}, {Kind: "Secret", Namespace: "shop", Name: "b"}},
				Matching: []Match{{Kind: schema.GroupKind{Group: "other.com", Kind: "Pool"}, Selector: labels.SelectorFromSet(labels.Set{"x": "y"})}},
			}},
		},
		"Problem": {
			reason:   "What fails is told, and the rest is read.",
			answers:  answers{replicas: `Replicas{replicas: object.spec.count}`, dependencies: `[Dependency{apiVersion: "v1", kind: "Secret", name: "a"}]`},
			wantAuto: AutoOnce, wantRuns: true,
			want: Traits{
				Problem: `interpret replicaResource of Database.example.com by customization "databases": no such key: count`,
				Links:   &Links{Needs: []Key{{Kind: "Secret", Name: "a"}}},
			},
		},
		"Problems": {
			reason:   "Two in one line.",
			answers:  answers{replicas: `Replicas{replicas: object.spec.count}`, dependencies: `[Dependency{name: object.spec.owner}]`},
			wantAuto: AutoOnce, wantRuns: true,
			want: Traits{Problem: `interpret replicaResource of Database.example.com by customization "databases": no such key: count; ` +
				`interpret dependencyInterpretation of Database.example.com by customization "databases": no such key: owner`},
		},
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "shop", "name": "db"}, "spec": map[string]any{"size": int64(3)},
	}}
	object.SetGroupVersionKind(databases)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			kind := KindOf(databases, true, true).Interpreted(databases, tc.answers.interpreter())
			if kind.Auto != tc.wantAuto || kind.Runs != tc.wantRuns || kind.ReplicaRevision != tc.answers.revision {
				t.Errorf("\n%s\nInterpreted(...): want %s, %v, got %+v", tc.reason, tc.wantAuto, tc.wantRuns, kind)
			}
			var got Traits
			if kind.Read != nil {
				got = kind.Read(object)
			}
			equal := cmp.Comparer(func(a, b *Links) bool { return a.Equal(b) })
			if diff := cmp.Diff(tc.want, got, equal); diff != "" {
				t.Errorf("\n%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRulesTellKindsApart(t *testing.T) {
	kind := KindOf(databases, true, true)
	read := func(a answers) string { return kind.Interpreted(databases, a.interpreter()).Rules }
	same := answers{replicas: `Replicas{replicas: 1}`}
	if read(same) != read(answers{replicas: same.replicas, health: "true"}) {
		t.Error("a rule that placement does not ask makes no difference")
	}
	if read(same) == read(answers{replicas: `Replicas{replicas: 2}`}) || read(answers{components: "[]"}) == read(answers{dependencies: "[]"}) {
		t.Error("one that it asks does")
	}
	if got := kind.Interpreted(databases, nil).Rules; got != "" {
		t.Errorf("nobody speaks of it: got %q", got)
	}
	if !strings.Contains(read(same), "replicaResource") {
		t.Errorf("rules are named, got %q", read(same))
	}
}
