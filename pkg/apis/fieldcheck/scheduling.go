// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fieldcheck

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var taintEffects = []corev1.TaintEffect{
	corev1.TaintEffectNoExecute, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule,
}

// Taints accepts taints as nodes may have them: a label key, a label value, an
// effect, and no key twice with the same effect.
func Taints(taints []corev1.Taint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, taint := range taints {
		where := path.Index(i)
		errs = append(errs, LabelKey(taint.Key, where.Child("key"))...)
		errs = append(errs, LabelValue(taint.Value, where.Child("value"))...)
		errs = append(errs, Enum(taint.Effect, where.Child("effect"), taintEffects...)...)
	}
	return append(errs, Unique(taints, path, func(taint corev1.Taint, path *field.Path) (string, *field.Path) {
		return taint.Key + ":" + string(taint.Effect), path
	})...)
}

// Tolerations accepts tolerations as Pods may have them.
func Tolerations(tolerations []corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, toleration := range tolerations {
		errs = append(errs, tolerates(toleration, path.Index(i))...)
	}
	return errs
}

func tolerates(toleration corev1.Toleration, path *field.Path) field.ErrorList {
	errs := OptionalEnum(toleration.Operator, path.Child("operator"),
		corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpGt, corev1.TolerationOpLt)
	errs = append(errs, OptionalEnum(toleration.Effect, path.Child("effect"), taintEffects...)...)
	exists := toleration.Operator == corev1.TolerationOpExists
	compares := toleration.Operator == corev1.TolerationOpGt || toleration.Operator == corev1.TolerationOpLt
	switch {
	case toleration.Key != "":
		errs = append(errs, LabelKey(toleration.Key, path.Child("key"))...)
	case !exists:
		errs = append(errs, field.Invalid(path.Child("operator"), toleration.Operator, "must be Exists when key is empty, which means every taint"))
	}
	if exists && toleration.Value != "" {
		errs = append(errs, field.Invalid(path.Child("value"), toleration.Value, "must be empty when operator is Exists"))
	}
	if _, err := strconv.ParseInt(toleration.Value, 10, 64); compares && err != nil {
		errs = append(errs, field.Invalid(path.Child("value"), toleration.Value, "must be an integer when operator is Gt or Lt"))
	}
	if !compares {
		errs = append(errs, LabelValue(toleration.Value, path.Child("value"))...)
	}
	if toleration.TolerationSeconds != nil && toleration.Effect != corev1.TaintEffectNoExecute {
		errs = append(errs, field.Invalid(path.Child("effect"), toleration.Effect, "must be NoExecute when tolerationSeconds is set"))
	}
	return errs
}

// NodeSelectorRequirements accepts requirements with the keys and operators
// named, and at least one value each.
func NodeSelectorRequirements(requirements []corev1.NodeSelectorRequirement, keys []string, operators []corev1.NodeSelectorOperator, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, requirement := range requirements {
		where := path.Index(i)
		errs = append(errs, Enum(requirement.Key, where.Child("key"), keys...)...)
		errs = append(errs, Enum(requirement.Operator, where.Child("operator"), operators...)...)
		if len(requirement.Values) == 0 {
			errs = append(errs, field.Required(where.Child("values"), ""))
		}
		if at := slices.IndexFunc(requirement.Values, func(value string) bool { return strings.TrimSpace(value) == "" }); at >= 0 {
			errs = append(errs, field.Required(where.Child("values").Index(at), ""))
		}
	}
	return errs
}
