// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package propagationpolicy

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/registry/policy/selector"
)

// warnings names the parts of a policy that are deprecated or have no effect.
func warnings(p policy.Propagation) []string {
	spec, path := p.GetSpec(), field.NewPath("spec")
	found := selector.Warnings(spec.ResourceSelectors, path.Child("resourceSelectors"))
	if spec.Association {
		found = append(found, fmt.Sprintf("%s: deprecated; use %s", path.Child("association"), path.Child("propagateDeps")))
	}
	return append(found, placementWarnings(&spec.Placement, path.Child("placement"))...)
}

func placementWarnings(placement *policy.Placement, path *field.Path) []string {
	var found []string
	if !byCapacity(placement) {
		for i, term := range placement.ClusterAffinities {
			if len(term.OverflowAffinities) > 0 {
				found = append(found, fmt.Sprintf("%s: ignored, because replicas are not divided by capacity",
					path.Child("clusterAffinities").Index(i).Child("overflowAffinities")))
			}
		}
	}
	if placement.ReplicaScheduling == nil {
		return found
	}
	return append(found, schedulingWarnings(placement.ReplicaScheduling, path.Child("replicaScheduling"))...)
}

// byCapacity is whether a member can have too little room for its share.
func byCapacity(placement *policy.Placement) bool {
	if placement.Auto != nil {
		return true
	}
	scheduling := placement.ReplicaScheduling
	if scheduling == nil || scheduling.ReplicaSchedulingType != policy.Divided {
		return false
	}
	weights := scheduling.WeightPreference
	return scheduling.ReplicaDivisionPreference == policy.Aggregated || weights != nil && weights.DynamicWeight != ""
}

func schedulingWarnings(scheduling *policy.ReplicaSchedulingStrategy, path *field.Path) []string {
	preference, weights := path.Child("replicaDivisionPreference"), path.Child("weightPreference")
	var found []string
	switch {
	case scheduling.ReplicaSchedulingType == policy.Duplicated:
		if scheduling.ReplicaDivisionPreference != "" {
			found = append(found, fmt.Sprintf("%s: ignored with replicaSchedulingType Duplicated", preference))
		}
		if scheduling.WeightPreference != nil {
			found = append(found, fmt.Sprintf("%s: ignored with replicaSchedulingType Duplicated", weights))
		}
	case scheduling.WeightPreference == nil:
	case scheduling.ReplicaDivisionPreference == policy.Aggregated:
		found = append(found, fmt.Sprintf("%s: ignored with replicaDivisionPreference Aggregated", weights))
	case scheduling.WeightPreference.DynamicWeight != "" && len(scheduling.WeightPreference.StaticWeightList) > 0:
		found = append(found, fmt.Sprintf("%s: ignored, because dynamicWeight is set", weights.Child("staticWeightList")))
	}
	return found
}
