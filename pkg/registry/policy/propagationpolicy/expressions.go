// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package propagationpolicy

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/registry/expression"
)

// checkExpressions accepts affinities, wherever a placement has them, whose
// expressions select members.
func checkExpressions(p policy.Propagation) field.ErrorList {
	placement, path := &p.GetSpec().Placement, field.NewPath("spec", "placement")
	var errs field.ErrorList
	check := func(affinity *policy.ClusterAffinity, path *field.Path) {
		errs = append(errs, expression.CheckSelector(affinity.Expression, path.Child("expression"))...)
	}
	if placement.ClusterAffinity != nil {
		check(placement.ClusterAffinity, path.Child("clusterAffinity"))
	}
	for i := range placement.ClusterAffinities {
		term, where := &placement.ClusterAffinities[i], path.Child("clusterAffinities").Index(i)
		check(&term.ClusterAffinity, where)
		for j := range term.OverflowAffinities {
			check(&term.OverflowAffinities[j], where.Child("overflowAffinities").Index(j))
		}
	}
	if scheduling := placement.ReplicaScheduling; scheduling != nil && scheduling.WeightPreference != nil {
		weights := scheduling.WeightPreference.StaticWeightList
		for i := range weights {
			check(&weights[i].TargetCluster, path.Child("replicaScheduling", "weightPreference", "staticWeightList").Index(i).Child("targetCluster"))
		}
	}
	return errs
}
