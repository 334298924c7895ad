// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/config"
)

func newCustomization(change func(*config.ResourceInterpreterCustomizationSpec)) *config.ResourceInterpreterCustomization {
	c := &config.ResourceInterpreterCustomization{
		ObjectMeta: metav1.ObjectMeta{Name: "databases", ResourceVersion: "1"},
		Spec: config.ResourceInterpreterCustomizationSpec{
			Target:         config.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Database"},
			Customizations: config.CustomizationRules{HealthInterpretation: &config.CustomizationRule{Expression: "true"}},
		},
	}
	change(&c.Spec)
	return c
}

func TestValidateResourceInterpreterCustomization(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*config.ResourceInterpreterCustomizationSpec)
		want   []string
	}{
		"Valid": {
			reason: "one answer is enough",
			change: func(*config.ResourceInterpreterCustomizationSpec) {},
		},
		"NoRule": {
			reason: "an object that answers nothing is a mistake",
			change: func(s *config.ResourceInterpreterCustomizationSpec) {
				s.Customizations = config.CustomizationRules{}
			},
			want: []string{"FieldValueRequired spec.customizations"},
		},
		"EmptyExpression": {
			reason: "a rule without expression answers nothing",
			change: func(s *config.ResourceInterpreterCustomizationSpec) {
				s.Customizations.Retention = &config.CustomizationRule{}
			},
			want: []string{"FieldValueRequired spec.customizations.retention.expression"},
		},
		"NoTarget": {
			reason: "a rule is about one kind",
			change: func(s *config.ResourceInterpreterCustomizationSpec) { s.Target = config.CustomizationTarget{} },
			want:   []string{"FieldValueRequired spec.target.apiVersion", "FieldValueRequired spec.target.kind"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range ValidateResourceInterpreterCustomization(newCustomization(tc.change)) {
				got = append(got, string(err.Type)+" "+err.Field)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nValidateResourceInterpreterCustomization(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateResourceInterpreterCustomizationUpdate(t *testing.T) {
	old := newCustomization(func(*config.ResourceInterpreterCustomizationSpec) {})
	changed := newCustomization(func(s *config.ResourceInterpreterCustomizationSpec) { s.Target.Kind = "Table" })
	errs := ValidateResourceInterpreterCustomizationUpdate(changed, old)
	if len(errs) != 1 || errs[0].Field != "spec.target.kind" {
		t.Errorf("a customization stays with its kind, got %v", errs)
	}
}
