// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package overridepolicy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/apis/rawjson"
	"fleet.dev/fleet/pkg/registry/table"
	"fleet.dev/fleet/pkg/registry/table/tabletest"
)

func one() rawjson.Value { return rawjson.Value{Raw: []byte("1")} }

func withRules(rules ...policy.RuleWithCluster) *policy.ClusterOverridePolicy {
	return &policy.ClusterOverridePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "images"},
		Spec:       policy.OverrideSpec{OverrideRules: rules},
	}
}

func TestExpressions(t *testing.T) {
	replicas := policy.Overriders{Expression: `Object{spec: Object.spec{replicas: 2}}`}
	tests := map[string]struct {
		reason string
		rules  []policy.RuleWithCluster
		want   []string
	}{
		"Valid": {
			reason: "CEL is accepted in both places",
			rules:  []policy.RuleWithCluster{{TargetCluster: &policy.ClusterAffinity{Expression: `cluster.spec.region == "eu"`}, Overriders: replicas}},
		},
		"AllMembers": {
			reason: "a rule without target has one expression only",
			rules:  []policy.RuleWithCluster{{Overriders: replicas}},
		},
		"BothBad": {
			reason: "each is reported where it is",
			rules: []policy.RuleWithCluster{
				{Overriders: replicas},
				{TargetCluster: &policy.ClusterAffinity{Expression: `cluster.`}, Overriders: policy.Overriders{Expression: `Object{spec}`}},
			},
			want: []string{"spec.overrideRules[1].targetCluster.expression", "spec.overrideRules[1].overriders.expression"},
		},
	}
	strategy := newStrategy(runtime.NewScheme(), false)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := withRules(tc.rules...)
			updated := o.DeepCopy()
			updated.ResourceVersion = "1"
			var onCreate, onUpdate []string
			for _, err := range strategy.Validate(t.Context(), o) {
				onCreate = append(onCreate, err.Field)
			}
			for _, err := range strategy.ValidateUpdate(t.Context(), updated, updated.DeepCopy()) {
				onUpdate = append(onUpdate, err.Field)
			}
			if diff := cmp.Diff(tc.want, onCreate); diff != "" {
				t.Errorf("%s: Validate, -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want, onUpdate); diff != "" {
				t.Errorf("%s: ValidateUpdate, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	remove, replace := policy.OverriderOpRemove, policy.OverriderOpReplace
	overriders := policy.Overriders{
		ImageOverrider: []policy.ImageOverrider{
			{Component: policy.Tag, Operator: remove},
			{Component: policy.Tag, Operator: remove, Value: "v1"},
			{Component: policy.Tag, Operator: replace, Value: "v1"},
		},
		FieldOverrider: []policy.FieldOverrider{
			{FieldPath: "/data/a", JSON: []policy.FieldPatchOperation{{SubPath: "/x", Operator: remove, Value: one()}}},
			{FieldPath: "/data/b", YAML: []policy.FieldPatchOperation{{SubPath: "/x", Operator: replace, Value: one()}, {SubPath: "/y", Operator: remove, Value: one()}}},
		},
		Plaintext: []policy.PlaintextOverrider{{Path: "/spec/replicas", Operator: remove, Value: one()}},
	}
	o := withRules(policy.RuleWithCluster{Overriders: policy.Overriders{Expression: "object"}}, policy.RuleWithCluster{Overriders: overriders})
	o.Spec.ResourceSelectors = []policy.ResourceSelector{{Kind: "Deployment", Name: "web", LabelSelector: &metav1.LabelSelector{}}}
	want := []string{
		"spec.resourceSelectors[0].labelSelector: ignored, because name is set",
		"spec.overrideRules[1].overriders.imageOverrider[1].value: ignored with operator remove",
		"spec.overrideRules[1].overriders.fieldOverrider[0].json[0].value: ignored with operator remove",
		"spec.overrideRules[1].overriders.fieldOverrider[1].yaml[1].value: ignored with operator remove",
		"spec.overrideRules[1].overriders.plaintext[0].value: ignored with operator remove",
	}
	got := newStrategy(runtime.NewScheme(), false).WarningsOnCreate(t.Context(), o)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings name what has no effect and nothing else, -want +got:\n%s", diff)
	}
}

func TestColumns(t *testing.T) {
	everything := withRules(policy.RuleWithCluster{})
	some := withRules(policy.RuleWithCluster{}, policy.RuleWithCluster{})
	some.Name = "some"
	for _, name := range []string{"a", "b", "c", "d"} {
		some.Spec.ResourceSelectors = append(some.Spec.ResourceSelectors, policy.ResourceSelector{Kind: "Deployment", Name: name})
	}
	tabletest.Golden(t, table.New(columns, cells), "columns.txt", everything, some)
}
