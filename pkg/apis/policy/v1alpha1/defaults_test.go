// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaults(t *testing.T) {
	cases := map[string]struct {
		reason string
		in     PropagationSpec
		want   PropagationSpec
	}{
		"Empty": {
			reason: "a policy that says nothing is as careful as can be",
			want:   PropagationSpec{Preemption: PreemptNever, SchedulerName: "default-scheduler", ConflictResolution: ConflictIfNoDiff, RecreatePolicy: RecreateNever},
		},
		"Placement": {
			reason: "replicas are divided by weight, members counted, unless more is said",
			in: PropagationSpec{
				Preemption: PreemptAlways, SchedulerName: "other", ConflictResolution: ConflictAbort, RecreatePolicy: RecreateOnImmutableChange,
				Placement: Placement{
					SpreadConstraints: []SpreadConstraint{{}, {SpreadByLabel: "rack", MinGroups: 2}},
					ReplicaScheduling: &ReplicaSchedulingStrategy{},
				},
			},
			want: PropagationSpec{
				Preemption: PreemptAlways, SchedulerName: "other", ConflictResolution: ConflictAbort, RecreatePolicy: RecreateOnImmutableChange,
				Placement: Placement{
					SpreadConstraints: []SpreadConstraint{{SpreadByField: SpreadByFieldCluster, MinGroups: 1}, {SpreadByLabel: "rack", MinGroups: 2}},
					ReplicaScheduling: &ReplicaSchedulingStrategy{ReplicaSchedulingType: Divided, ReplicaDivisionPreference: Weighted},
				},
			},
		},
		"Failover": {
			reason: "only a graceful purge has a grace period",
			in: PropagationSpec{
				Preemption: PreemptNever, SchedulerName: "default-scheduler", ConflictResolution: ConflictIfNoDiff, RecreatePolicy: RecreateNever,
				Failover: &FailoverBehavior{Application: &ApplicationFailoverBehavior{PurgeMode: PurgeDirectly}, Cluster: &ClusterFailoverBehavior{}},
			},
			want: PropagationSpec{
				Preemption: PreemptNever, SchedulerName: "default-scheduler", ConflictResolution: ConflictIfNoDiff, RecreatePolicy: RecreateNever,
				Failover: &FailoverBehavior{
					Application: &ApplicationFailoverBehavior{PurgeMode: PurgeDirectly, DecisionConditions: DecisionConditions{TolerationSeconds: new(int32(300))}},
					Cluster:     &ClusterFailoverBehavior{PurgeMode: PurgeGracefully},
				},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			policy := &PropagationPolicy{Spec: tc.in}
			SetObjectDefaults_PropagationPolicy(policy)
			if diff := cmp.Diff(tc.want, policy.Spec); diff != "" {
				t.Errorf("\n%s\nSetObjectDefaults_PropagationPolicy(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
