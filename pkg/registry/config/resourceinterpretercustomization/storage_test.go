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
