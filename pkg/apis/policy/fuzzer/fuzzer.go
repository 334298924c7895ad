// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzzer

import (
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/apis/rawjson"
)

// Funcs returns the fuzzer functions of the group.
func Funcs(_ serializer.CodecFactory) []any {
	return []any{
		func(value *rawjson.Value, c randfill.Continue) {
			values := []string{"", `"text"`, "1", "true", `["a",1]`, `{"a":{"b":1.5}}`}
			if text := values[c.Intn(len(values))]; text != "" {
				value.Raw = []byte(text)
			}
		},
		func(spec *policy.PropagationSpec, c randfill.Continue) {
			c.FillNoCustom(spec)
			orElse(&spec.Preemption, policy.PreemptNever)
			orElse(&spec.SchedulerName, "default-scheduler")
			orElse(&spec.ConflictResolution, policy.ConflictIfNoDiff)
			orElse(&spec.RecreatePolicy, policy.RecreateNever)
		},
		func(behavior *policy.ApplicationFailoverBehavior, c randfill.Continue) {
			c.FillNoCustom(behavior)
			orElse(&behavior.PurgeMode, policy.PurgeGracefully)
			if behavior.PurgeMode == policy.PurgeGracefully && behavior.GracePeriodSeconds == nil {
				behavior.GracePeriodSeconds = ptr.To[int32](600)
			}
			if behavior.DecisionConditions.TolerationSeconds == nil {
				behavior.DecisionConditions.TolerationSeconds = ptr.To[int32](300)
			}
		},
		func(behavior *policy.ClusterFailoverBehavior, c randfill.Continue) {
			c.FillNoCustom(behavior)
			orElse(&behavior.PurgeMode, policy.PurgeGracefully)
		},
		func(constraint *policy.SpreadConstraint, c randfill.Continue) {
			c.FillNoCustom(constraint)
			orElse(&constraint.MinGroups, 1)
			if constraint.SpreadByLabel == "" {
				orElse(&constraint.SpreadByField, policy.SpreadByFieldCluster)
			}
		},
		func(strategy *policy.ReplicaSchedulingStrategy, c randfill.Continue) {
			c.FillNoCustom(strategy)
			orElse(&strategy.ReplicaSchedulingType, policy.Divided)
			if strategy.ReplicaSchedulingType == policy.Divided {
				orElse(&strategy.ReplicaDivisionPreference, policy.Weighted)
			}
		},
	}
}

// orElse sets a field that is zero.
func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
