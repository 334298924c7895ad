// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resourceinterpretercustomization

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/config"
	"fleet.dev/fleet/pkg/registry/table"
	"fleet.dev/fleet/pkg/registry/table/tabletest"
)

// ofKind has a customization target another kind.
func ofKind(c *customization, apiVersion, kind string) *customization {
	c.Spec.Target = config.CustomizationTarget{APIVersion: apiVersion, Kind: kind}
	return c
}

func database(rules config.CustomizationRules) *customization {
	return &customization{
		ObjectMeta: metav1.ObjectMeta{Name: "database"},
		Spec: config.ResourceInterpreterCustomizationSpec{
			Target:         config.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Database"},
			Customizations: rules,
		},
	}
}

func TestExpressions(t *testing.T) {
	good, bad := &config.CustomizationRule{Expression: `object.status.ready`}, &config.CustomizationRule{Expression: `object.status.`}
	tests := map[string]struct {
		reason string
		rules  config.CustomizationRules
		native bool
		want   []string
	}{
		"Valid": {
			reason: "CEL is accepted",
			rules:  config.CustomizationRules{HealthInterpretation: good},
		},
		"Bad": {
			reason: "each rule is parsed",
			rules: config.CustomizationRules{
				Retention: bad, ReplicaResource: bad, ComponentResource: bad, ReplicaRevision: bad,
				StatusReflection: bad, StatusAggregation: bad, HealthInterpretation: good, DependencyInterpretation: bad,
			},
			want: []string{
				"spec.customizations.retention.expression", "spec.customizations.replicaResource.expression",
				"spec.customizations.componentResource.expression", "spec.customizations.replicaRevision.expression",
				"spec.customizations.statusReflection.expression", "spec.customizations.statusAggregation.expression",
				"spec.customizations.dependencyInterpretation.expression",
			},
		},
		"WrongResult": {
			reason: "each rule has a result of its own",
			rules:  config.CustomizationRules{HealthInterpretation: &config.CustomizationRule{Expression: `[]`}},
			want:   []string{"spec.customizations.healthInterpretation.expression"},
		},
		"Native": {
			reason: "of native kinds, only what members do with them can be said otherwise",
			native: true,
			rules: config.CustomizationRules{
				HealthInterpretation: good, StatusAggregation: good, DependencyInterpretation: good, ReplicaResource: good,
			},
			want: []string{
				"spec.customizations.replicaResource", "spec.customizations.statusAggregation", "spec.customizations.dependencyInterpretation",
			},
		},
		"Empty": {
			reason: "an empty rule is refused once, by validation",
			rules:  config.CustomizationRules{Retention: &config.CustomizationRule{}},
			want:   []string{"spec.customizations.retention.expression"},
		},
	}
	strategy := newStrategy(runtime.NewScheme())
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			given := database(tc.rules)
			if tc.native {
				ofKind(given, "apps/v1", "Deployment")
			}
			updated := given.DeepCopy()
			updated.ResourceVersion = "1"
			var onCreate, onUpdate []string
			for _, err := range strategy.Validate(t.Context(), given) {
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

func TestColumns(t *testing.T) {
	tabletest.Golden(t, table.New(columns, cells), "columns.txt", database(config.CustomizationRules{}))
}
