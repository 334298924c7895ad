// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/policy"
)

func TestSelectors(t *testing.T) {
	byLabel := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	tests := map[string]struct {
		reason    string
		selectors []policy.ResourceSelector
		cell      string
		warnings  []string
	}{
		"None": {
			reason: "an override policy may have none; its column says what that means",
			cell:   "<none>",
		},
		"ByNameAndByLabel": {
			reason:    "a label selector counts where no name is given",
			selectors: []policy.ResourceSelector{{Kind: "Deployment", Name: "web"}, {Kind: "Service", LabelSelector: byLabel}},
			cell:      "Deployment/web,Service",
		},
		"BothInOne": {
			reason:    "the name alone decides, which the writer may not know",
			selectors: []policy.ResourceSelector{{Kind: "*"}, {Kind: "Service", Name: "web", LabelSelector: byLabel}},
			cell:      "*,Service/web",
			warnings:  []string{"spec.resourceSelectors[1].labelSelector: ignored, because name is set"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.cell, Cell(tc.selectors)); diff != "" {
				t.Errorf("%s: Cell, -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.warnings, Warnings(tc.selectors, field.NewPath("spec", "resourceSelectors"))); diff != "" {
				t.Errorf("%s: Warnings, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
