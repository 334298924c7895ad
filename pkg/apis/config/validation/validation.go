// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"iter"

	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/config"
	"fleet.dev/fleet/pkg/apis/fieldcheck"
)

// ValidateResourceInterpreterCustomization validates a new object.
func ValidateResourceInterpreterCustomization(c *config.ResourceInterpreterCustomization) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMeta(&c.ObjectMeta, false, apimachineryvalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validateSpec(&c.Spec, field.NewPath("spec"))...)
}

// ValidateResourceInterpreterCustomizationUpdate validates a changed object; the
// target may not change.
func ValidateResourceInterpreterCustomizationUpdate(c, old *config.ResourceInterpreterCustomization) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaUpdate(&c.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, validateSpec(&c.Spec, field.NewPath("spec"))...)
	path := field.NewPath("spec", "target")
	errs = append(errs, fieldcheck.Unchanged(c.Spec.Target.APIVersion, old.Spec.Target.APIVersion, path.Child("apiVersion"))...)
	return append(errs, fieldcheck.Unchanged(c.Spec.Target.Kind, old.Spec.Target.Kind, path.Child("kind"))...)
}

func validateSpec(spec *config.ResourceInterpreterCustomizationSpec, path *field.Path) field.ErrorList {
	errs := fieldcheck.GroupVersion(spec.Target.APIVersion, path.Child("target", "apiVersion"))
	errs = append(errs, fieldcheck.Kind(spec.Target.Kind, path.Child("target", "kind"))...)
	path = path.Child("customizations")
	given := 0
	for name, rule := range Rules(&spec.Customizations) {
		given++
		errs = append(errs, fieldcheck.Expression(rule.Expression, path.Child(name, "expression"))...)
	}
	if given == 0 {
		errs = append(errs, field.Required(path, "at least one customization"))
	}
	return errs
}

// Rules yields the rules that are given, in the order of the fields, each with
// the name of its field.
func Rules(rules *config.CustomizationRules) iter.Seq2[string, *config.CustomizationRule] {
	all := []struct {
		name string
		rule *config.CustomizationRule
	}{
		{"retention", rules.Retention},
		{"replicaResource", rules.ReplicaResource},
		{"componentResource", rules.ComponentResource},
		{"replicaRevision", rules.ReplicaRevision},
		{"statusReflection", rules.StatusReflection},
		{"statusAggregation", rules.StatusAggregation},
		{"healthInterpretation", rules.HealthInterpretation},
		{"dependencyInterpretation", rules.DependencyInterpretation},
	}
	return func(yield func(string, *config.CustomizationRule) bool) {
		for _, entry := range all {
			if entry.rule != nil && !yield(entry.name, entry.rule) {
				return
			}
		}
	}
}
