// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"slices"
	"strings"

	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/apis/rawjson"
)

// identity are the JSON pointers to what makes an object that object; no override
// may change them, nor anything they are part of.
var identity = []string{"/apiVersion", "/kind", "/metadata/name", "/metadata/namespace", "/metadata/uid"}

// ValidateOverride validates a new override policy of either scope.
func ValidateOverride(o policy.Override) field.ErrorList {
	_, namespaced := o.(*policy.OverridePolicy)
	errs := apimachineryvalidation.ValidateObjectMetaAccessor(o, namespaced, apimachineryvalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validateOverrideSpec(o, field.NewPath("spec"))...)
}

// ValidateOverrideUpdate validates a changed override policy of either scope.
func ValidateOverrideUpdate(o, old policy.Override) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaAccessorUpdate(o, old, field.NewPath("metadata"))
	return append(errs, validateOverrideSpec(o, field.NewPath("spec"))...)
}

func validateOverrideSpec(o policy.Override, path *field.Path) field.ErrorList {
	spec := o.GetSpec()
	errs := validateResourceSelectors(spec.ResourceSelectors, o.GetNamespace(), path.Child("resourceSelectors"))
	path = path.Child("overrideRules")
	if len(spec.OverrideRules) == 0 {
		errs = append(errs, field.Required(path, "at least one rule"))
	}
	for i := range spec.OverrideRules {
		rule, where := &spec.OverrideRules[i], path.Index(i)
		if rule.TargetCluster != nil {
			errs = append(errs, ValidateClusterAffinity(rule.TargetCluster, where.Child("targetCluster"))...)
		}
		errs = append(errs, ValidateOverriders(&rule.Overriders, where.Child("overriders"))...)
	}
	return errs
}

// ValidateOverriders accepts at least one change, each well-formed.
func ValidateOverriders(overriders *policy.Overriders, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if isEmpty(overriders) {
		errs = append(errs, field.Required(path, "at least one overrider"))
	}
	for i, overrider := range overriders.ImageOverrider {
		errs = append(errs, validateImage(overrider, path.Child("imageOverrider").Index(i))...)
	}
	errs = append(errs, validateCommandArgs(overriders.CommandOverrider, path.Child("commandOverrider"))...)
	errs = append(errs, validateCommandArgs(overriders.ArgsOverrider, path.Child("argsOverrider"))...)
	errs = append(errs, validateLabelsOrAnnotations(overriders.LabelsOverrider, path.Child("labelsOverrider"), fieldcheck.LabelValue)...)
	errs = append(errs, validateLabelsOrAnnotations(overriders.AnnotationsOverrider, path.Child("annotationsOverrider"), anyText)...)
	for i, overrider := range overriders.FieldOverrider {
		errs = append(errs, validateFieldOverrider(overrider, path.Child("fieldOverrider").Index(i))...)
	}
	for i, overrider := range overriders.Plaintext {
		where := path.Child("plaintext").Index(i)
		errs = append(errs, validateTemplatePath(overrider.Path, where.Child("path"))...)
		errs = append(errs, validateOperation(overrider.Operator, overrider.Value, where)...)
	}
	if overriders.Expression != "" {
		errs = append(errs, fieldcheck.Expression(overriders.Expression, path.Child("expression"))...)
	}
	return errs
}

func isEmpty(o *policy.Overriders) bool {
	return o.Expression == "" && len(o.ImageOverrider)+len(o.CommandOverrider)+len(o.ArgsOverrider)+
		len(o.LabelsOverrider)+len(o.AnnotationsOverrider)+len(o.FieldOverrider)+len(o.Plaintext) == 0
}

func validateImage(overrider policy.ImageOverrider, path *field.Path) field.ErrorList {
	errs := fieldcheck.Enum(overrider.Component, path.Child("component"), policy.Registry, policy.Repository, policy.Tag)
	errs = append(errs, validateOperator(overrider.Operator, path.Child("operator"))...)
	if overrider.Operator != policy.OverriderOpRemove {
		errs = append(errs, fieldcheck.Required(overrider.Value, path.Child("value"))...)
	}
	if overrider.Predicate != nil {
		errs = append(errs, validateTemplatePath(overrider.Predicate.Path, path.Child("predicate", "path"))...)
	}
	return errs
}

func validateCommandArgs(overriders []policy.CommandArgsOverrider, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, overrider := range overriders {
		where := path.Index(i)
		errs = append(errs, fieldcheck.Namespace(overrider.ContainerName, where.Child("containerName"))...)
		errs = append(errs, fieldcheck.Enum(overrider.Operator, where.Child("operator"), policy.OverriderOpAdd, policy.OverriderOpRemove)...)
	}
	return errs
}

func validateLabelsOrAnnotations(overriders []policy.LabelAnnotationOverrider, path *field.Path, value func(string, *field.Path) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for i, overrider := range overriders {
		where := path.Index(i)
		errs = append(errs, validateOperator(overrider.Operator, where.Child("operator"))...)
		for k, v := range overrider.Value {
			errs = append(errs, fieldcheck.LabelKey(k, where.Child("value"))...)
			errs = append(errs, value(v, where.Child("value").Key(k))...)
		}
	}
	return errs
}

func anyText(string, *field.Path) field.ErrorList { return nil }

func validateFieldOverrider(overrider policy.FieldOverrider, path *field.Path) field.ErrorList {
	errs := validateTemplatePath(overrider.FieldPath, path.Child("fieldPath"))
	switch {
	case len(overrider.JSON) == 0 && len(overrider.YAML) == 0:
		errs = append(errs, field.Required(path, "json or yaml"))
	case len(overrider.JSON) > 0 && len(overrider.YAML) > 0:
		errs = append(errs, field.Forbidden(path.Child("yaml"), "may not be set together with json"))
	}
	errs = append(errs, validateFieldPatches(overrider.JSON, path.Child("json"))...)
	return append(errs, validateFieldPatches(overrider.YAML, path.Child("yaml"))...)
}

func validateFieldPatches(patches []policy.FieldPatchOperation, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, patch := range patches {
		where := path.Index(i)
		errs = append(errs, fieldcheck.JSONPointer(patch.SubPath, where.Child("subPath"))...)
		errs = append(errs, validateOperation(patch.Operator, patch.Value, where)...)
	}
	return errs
}

func validateOperation(operator policy.OverriderOperator, value rawjson.Value, path *field.Path) field.ErrorList {
	errs := validateOperator(operator, path.Child("operator"))
	if operator != policy.OverriderOpRemove && len(value.Raw) == 0 {
		errs = append(errs, field.Required(path.Child("value"), ""))
	}
	return errs
}

func validateOperator(operator policy.OverriderOperator, path *field.Path) field.ErrorList {
	return fieldcheck.Enum(operator, path, policy.OverriderOpAdd, policy.OverriderOpRemove, policy.OverriderOpReplace)
}

// validateTemplatePath accepts a JSON pointer into a template that leaves the
// identity of the template alone.
func validateTemplatePath(pointer string, path *field.Path) field.ErrorList {
	if errs := fieldcheck.JSONPointer(pointer, path); len(errs) > 0 {
		return errs
	}
	touches := func(fixed string) bool {
		return pointer == "/" || pointer == fixed || strings.HasPrefix(fixed, pointer+"/") || strings.HasPrefix(pointer, fixed+"/")
	}
	if slices.ContainsFunc(identity, touches) {
		return field.ErrorList{field.Forbidden(path, "apiVersion, kind, name, namespace and uid of a template cannot be overridden")}
	}
	return nil
}
