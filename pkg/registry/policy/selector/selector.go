// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package selector

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/registry/table"
)

// Cell is what a column shows of the selectors.
func Cell(selectors []policy.ResourceSelector) string {
	texts := make([]string, len(selectors))
	for i, selector := range selectors {
		texts[i] = selector.Kind
		if selector.Name != "" {
			texts[i] += "/" + selector.Name
		}
	}
	return table.List(texts)
}

// Warnings names the parts of the selectors that have no effect.
func Warnings(selectors []policy.ResourceSelector, path *field.Path) []string {
	var warnings []string
	for i, selector := range selectors {
		if selector.Name != "" && selector.LabelSelector != nil {
			warnings = append(warnings, fmt.Sprintf("%s: ignored, because name is set", path.Index(i).Child("labelSelector")))
		}
	}
	return warnings
}
