// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/rollup"
)

func aggregating(text string) *interpreter.Interpreter {
	return interpreter.New([]*configv1alpha1.ResourceInterpreterCustomization{{
		ObjectMeta: metav1.ObjectMeta{Name: "databases"},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target:         configv1alpha1.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Database"},
			Customizations: configv1alpha1.CustomizationRules{StatusAggregation: &configv1alpha1.CustomizationRule{Expression: text}},
		},
	}}, nil)
}

func TestInterpreted(t *testing.T) {
	const (
		database = "{apiVersion: example.com/v1, kind: Database, metadata: {name: db, generation: 5}, spec: {size: 4}"
		sum      = `Object.status{ready: items.map(i, int(i.status.?ready.orValue(0))).sum(),
			observedGeneration: items.map(i, int(i.status.?observedGeneration.orValue(0))).min()}`
	)
	cases := map[string]struct {
		reason     string
		expression string
		template   string
		members    []member
		want       string
		wantErr    string
	}{
		"Aggregated": {
			reason:     "Numbers are added; generations are the template's.",
			expression: sum, template: database + "}",
			members: []member{{name: "a", status: "{ready: 2, observedGeneration: 17}", generation: 5}, {name: "b", status: "{ready: 1, observedGeneration: 3}", generation: 5}},
			want:    "{ready: 3, observedGeneration: 5}",
		},
		"Strings": {
			reason:     "Generations may be strings.",
			expression: `{"observedGeneration": items[0].status.observedGeneration}`, template: database + "}",
			members: []member{{name: "a", status: `{observedGeneration: "17"}`, generation: 4}},
			want:    `{observedGeneration: "4"}`,
		},
		"Silent": {
			reason:     "A member that reports nothing is there all the same.",
			expression: `{"members": items.map(i, i.cluster + " " + i.health)}`, template: database + "}",
			members: []member{{name: "a"}, {name: "b", status: "{ready: 1}", generation: 5}},
			want:    "{members: ['a ', 'b ']}",
		},
		"AllSilent": {
			reason:     "While nobody reports, the status stays.",
			expression: `{"a": "b"}`, template: database + ", status: {ready: 1}}",
			members: []member{{name: "a"}},
			want:    "{ready: 1}",
		},
		"Empty": {
			reason:     "An answer with no field is none to show.",
			expression: `items[0].status`, template: database + ", status: {ready: 1}}",
			members: []member{{name: "a"}, {name: "b", status: "{ready: 2}"}},
			want:    "{ready: 1}",
		},
		"Null": {
			reason:     "Null leaves it to the rule for all kinds.",
			expression: `dyn(null)`, template: database + "}",
			members: []member{{name: "a", status: "{ready: 2}", generation: 5}},
			want:    "{ready: 2}",
		},
		"Fails": {
			reason:     "An expression that fails makes no status.",
			expression: `{"a": items[0].status.nothing}`, template: database + "}",
			members: []member{{name: "a", status: "{ready: 2}", generation: 5}},
			wantErr: `interpret statusAggregation of Database.example.com by customization "databases": no such key: nothing`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, _, err := rollup.Status(object(t, tc.template), members(t, tc.members...), aggregating(tc.expression), now)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) || got != nil {
					t.Errorf("%s: want %q, got %v, %v", tc.reason, tc.wantErr, got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fields(t, tc.want), got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNative(t *testing.T) {
	for kind, want := range map[schema.GroupKind]bool{
		{Group: "apps", Kind: "Deployment"}:      true,
		{Kind: "Namespace"}:                      true,
		{Group: "work.fleet.dev", Kind: "Work"}:  true,
		{Group: "example.com", Kind: "Database"}: false,
	} {
		if got := rollup.Native(kind); got != want {
			t.Errorf("Native(%s): want %v", kind, want)
		}
	}
}
