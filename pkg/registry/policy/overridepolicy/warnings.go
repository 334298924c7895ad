// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package overridepolicy

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/apis/rawjson"
	"fleet.dev/fleet/pkg/registry/policy/selector"
)

// warnings names the parts of a policy that have no effect.
func warnings(o policy.Override) []string {
	spec, path := o.GetSpec(), field.NewPath("spec")
	found := selector.Warnings(spec.ResourceSelectors, path.Child("resourceSelectors"))
	path = path.Child("overrideRules")
	for i := range spec.OverrideRules {
		found = append(found, valueWarnings(&spec.OverrideRules[i].Overriders, path.Index(i).Child("overriders"))...)
	}
	return found
}

// valueWarnings names the values beside the operator remove, which needs none.
func valueWarnings(overriders *policy.Overriders, path *field.Path) []string {
	var found []string
	check := func(operator policy.OverriderOperator, given bool, path *field.Path) {
		if operator == policy.OverriderOpRemove && given {
			found = append(found, fmt.Sprintf("%s: ignored with operator remove", path.Child("value")))
		}
	}
	isGiven := func(value rawjson.Value) bool { return len(value.Raw) > 0 }
	for i, overrider := range overriders.ImageOverrider {
		check(overrider.Operator, overrider.Value != "", path.Child("imageOverrider").Index(i))
	}
	for i, overrider := range overriders.FieldOverrider {
		where := path.Child("fieldOverrider").Index(i)
		for j, patch := range overrider.JSON {
			check(patch.Operator, isGiven(patch.Value), where.Child("json").Index(j))
		}
		for j, patch := range overrider.YAML {
			check(patch.Operator, isGiven(patch.Value), where.Child("yaml").Index(j))
		}
	}
	for i, overrider := range overriders.Plaintext {
		check(overrider.Operator, isGiven(overrider.Value), path.Child("plaintext").Index(i))
	}
	return found
}
