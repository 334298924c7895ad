// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	clustervalidation "fleet.dev/fleet/pkg/apis/cluster/validation"
	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/apis/policy"
)

var (
	fieldSelectorKeys      = []string{policy.FieldSelectorProvider, policy.FieldSelectorRegion, policy.FieldSelectorZone}
	fieldSelectorOperators = []corev1.NodeSelectorOperator{corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn}
)

// ValidatePlacement accepts a placement after defaulting.
func ValidatePlacement(placement *policy.Placement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if placement.Auto != nil {
		errs = append(errs, validateAuto(placement, path)...)
	}
	if affinity := placement.ClusterAffinity; affinity != nil {
		errs = append(errs, ValidateClusterAffinity(affinity, path.Child("clusterAffinity"))...)
		if len(placement.ClusterAffinities) > 0 {
			errs = append(errs, field.Forbidden(path.Child("clusterAffinities"), "may not be set together with clusterAffinity"))
		}
	}
	errs = append(errs, validateClusterAffinities(placement.ClusterAffinities, path.Child("clusterAffinities"))...)
	errs = append(errs, fieldcheck.Tolerations(placement.ClusterTolerations, path.Child("clusterTolerations"))...)
	errs = append(errs, validateSpreadConstraints(placement.SpreadConstraints, path.Child("spreadConstraints"))...)
	errs = append(errs, validateReplicaScheduling(placement.ReplicaScheduling, path.Child("replicaScheduling"))...)
	return append(errs, validateWorkloadAffinity(placement.WorkloadAffinity, path.Child("workloadAffinity"))...)
}

func validateAuto(placement *policy.Placement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if placement.ReplicaScheduling != nil {
		errs = append(errs, field.Forbidden(path.Child("replicaScheduling"), "may not be set together with auto"))
	}
	if len(placement.SpreadConstraints) > 0 {
		errs = append(errs, field.Forbidden(path.Child("spreadConstraints"), "may not be set together with auto"))
	}
	return errs
}

// ValidateClusterAffinity accepts a choice of members.
func ValidateClusterAffinity(affinity *policy.ClusterAffinity, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabelSelector(affinity.LabelSelector, metav1validation.LabelSelectorValidationOptions{}, path.Child("labelSelector"))
	if selector := affinity.FieldSelector; selector != nil {
		errs = append(errs, fieldcheck.NodeSelectorRequirements(selector.MatchExpressions, fieldSelectorKeys, fieldSelectorOperators, path.Child("fieldSelector", "matchExpressions"))...)
	}
	errs = append(errs, clustervalidation.ClusterNames(affinity.ClusterNames, path.Child("clusterNames"))...)
	errs = append(errs, clustervalidation.ClusterNames(affinity.Exclude, path.Child("exclude"))...)
	if affinity.Expression != "" {
		errs = append(errs, fieldcheck.Expression(affinity.Expression, path.Child("expression"))...)
	}
	return errs
}

func validateClusterAffinities(terms []policy.ClusterAffinityTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range terms {
		term, where := &terms[i], path.Index(i)
		errs = append(errs, fieldcheck.Required(term.AffinityName, where.Child("affinityName"))...)
		errs = append(errs, fieldcheck.LabelValue(term.AffinityName, where.Child("affinityName"))...)
		errs = append(errs, ValidateClusterAffinity(&term.ClusterAffinity, where)...)
		for j := range term.OverflowAffinities {
			errs = append(errs, ValidateClusterAffinity(&term.OverflowAffinities[j], where.Child("overflowAffinities").Index(j))...)
		}
	}
	return append(errs, fieldcheck.Unique(terms, path, func(term policy.ClusterAffinityTerm, path *field.Path) (string, *field.Path) {
		return term.AffinityName, path.Child("affinityName")
	})...)
}

func validateSpreadConstraints(constraints []policy.SpreadConstraint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, constraint := range constraints {
		errs = append(errs, validateSpreadConstraint(constraint, path.Index(i))...)
	}
	errs = append(errs, fieldcheck.Unique(constraints, path, func(c policy.SpreadConstraint, path *field.Path) (string, *field.Path) {
		if c.SpreadByField == "" {
			return "label " + c.SpreadByLabel, path.Child("spreadByLabel")
		}
		return string(c.SpreadByField), path.Child("spreadByField")
	})...)
	byField := func(c policy.SpreadConstraint) bool { return c.SpreadByField != "" }
	byCluster := func(c policy.SpreadConstraint) bool { return c.SpreadByField == policy.SpreadByFieldCluster }
	if slices.ContainsFunc(constraints, byField) && !slices.ContainsFunc(constraints, byCluster) {
		errs = append(errs, field.Required(path, "a constraint with spreadByField cluster, when others name a field"))
	}
	return errs
}

func validateSpreadConstraint(constraint policy.SpreadConstraint, path *field.Path) field.ErrorList {
	errs := fieldcheck.OptionalEnum(constraint.SpreadByField, path.Child("spreadByField"),
		policy.SpreadByFieldCluster, policy.SpreadByFieldProvider, policy.SpreadByFieldRegion, policy.SpreadByFieldZone)
	if constraint.SpreadByLabel != "" {
		errs = append(errs, fieldcheck.LabelKey(constraint.SpreadByLabel, path.Child("spreadByLabel"))...)
		if constraint.SpreadByField != "" {
			errs = append(errs, field.Forbidden(path.Child("spreadByLabel"), "may not be set together with spreadByField"))
		}
	}
	errs = append(errs, fieldcheck.NotLess(constraint.MinGroups, 1, path.Child("minGroups"))...)
	errs = append(errs, fieldcheck.NotLess(constraint.MaxGroups, 0, path.Child("maxGroups"))...)
	if constraint.MaxGroups > 0 && constraint.MaxGroups < constraint.MinGroups {
		errs = append(errs, field.Invalid(path.Child("maxGroups"), constraint.MaxGroups, fmt.Sprintf("must not be less than minGroups, %d", constraint.MinGroups)))
	}
	return errs
}

func validateReplicaScheduling(strategy *policy.ReplicaSchedulingStrategy, path *field.Path) field.ErrorList {
	if strategy == nil {
		return nil
	}
	errs := fieldcheck.Enum(strategy.ReplicaSchedulingType, path.Child("replicaSchedulingType"), policy.Divided, policy.Duplicated)
	preference := path.Child("replicaDivisionPreference")
	if strategy.ReplicaSchedulingType == policy.Divided {
		errs = append(errs, fieldcheck.Enum(strategy.ReplicaDivisionPreference, preference, policy.Aggregated, policy.Weighted)...)
	} else {
		errs = append(errs, fieldcheck.OptionalEnum(strategy.ReplicaDivisionPreference, preference, policy.Aggregated, policy.Weighted)...)
	}
	if weights := strategy.WeightPreference; weights != nil {
		errs = append(errs, validateWeights(weights, path.Child("weightPreference"))...)
	}
	return errs
}

func validateWeights(weights *policy.ClusterPreferences, path *field.Path) field.ErrorList {
	errs := fieldcheck.OptionalEnum(weights.DynamicWeight, path.Child("dynamicWeight"), policy.DynamicWeightByAvailableReplicas)
	if len(weights.StaticWeightList) == 0 && weights.DynamicWeight == "" {
		errs = append(errs, field.Required(path, "staticWeightList or dynamicWeight"))
	}
	path = path.Child("staticWeightList")
	for i := range weights.StaticWeightList {
		entry, where := &weights.StaticWeightList[i], path.Index(i)
		errs = append(errs, ValidateClusterAffinity(&entry.TargetCluster, where.Child("targetCluster"))...)
		errs = append(errs, fieldcheck.NotLess(entry.Weight, 1, where.Child("weight"))...)
		same := func(other policy.StaticClusterWeight) bool {
			return apiequality.Semantic.DeepEqual(other.TargetCluster, entry.TargetCluster)
		}
		if slices.ContainsFunc(weights.StaticWeightList[:i], same) {
			errs = append(errs, field.Invalid(where.Child("targetCluster"), entry.TargetCluster, "must not be the same as in an entry before"))
		}
	}
	return errs
}

func validateWorkloadAffinity(affinity *policy.WorkloadAffinity, path *field.Path) field.ErrorList {
	if affinity == nil {
		return nil
	}
	var errs field.ErrorList
	if affinity.Affinity == nil && affinity.AntiAffinity == nil {
		errs = append(errs, field.Required(path, "affinity or antiAffinity"))
	}
	if term := affinity.Affinity; term != nil {
		errs = append(errs, fieldcheck.LabelKey(term.GroupByLabelKey, path.Child("affinity", "groupByLabelKey"))...)
	}
	if term := affinity.AntiAffinity; term != nil {
		errs = append(errs, fieldcheck.LabelKey(term.GroupByLabelKey, path.Child("antiAffinity", "groupByLabelKey"))...)
	}
	return errs
}
