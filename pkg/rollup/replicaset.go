// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

type replicaSetInput = input[appsv1.ReplicaSet, appsv1.ReplicaSetStatus]

// replicationController makes the status of what a ReplicaSet was called before. It has
// fewer fields, all of them under the same names.
func replicationController(in input[replicas, appsv1.ReplicaSetStatus]) appsv1.ReplicaSetStatus {
	of := &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Replicas: in.template.Spec.Replicas}, Status: in.template.Status}
	return replicaSet(replicaSetInput{
		template: of, members: in.members, generation: in.generation,
		observedGeneration: in.observedGeneration, observedBefore: in.observedBefore, now: in.now,
	})
}

// replicas is what the fold of ReplicaSets needs of a ReplicationController, whose selector
// is of another type.
type replicas struct {
	Spec struct {
		Replicas *int32 `json:"replicas,omitempty"`
	} `json:"spec"`
	Status appsv1.ReplicaSetStatus `json:"status"`
}

// replicaSet sums counters and carries failures, as the ReplicaSet controller
// (calculateStatus in replica_set_utils.go) does for Pods.
func replicaSet(in replicaSetInput) appsv1.ReplicaSetStatus {
	replicas := ptr.Deref(in.template.Spec.Replicas, 1)
	n := copiesOf(replicas, in.members)
	status := appsv1.ReplicaSetStatus{
		ObservedGeneration:   in.observed(replicas),
		Replicas:             n.up(sum(in.members, func(s appsv1.ReplicaSetStatus) int32 { return s.Replicas })),
		FullyLabeledReplicas: n.down(sum(in.members, func(s appsv1.ReplicaSetStatus) int32 { return s.FullyLabeledReplicas })),
		ReadyReplicas:        n.down(sum(in.members, func(s appsv1.ReplicaSetStatus) int32 { return s.ReadyReplicas }, heard)),
		AvailableReplicas:    n.down(sum(in.members, func(s appsv1.ReplicaSetStatus) int32 { return s.AvailableReplicas }, heard)),
		TerminatingReplicas: n.upOptional(sumOptional(in.members, func(s appsv1.ReplicaSetStatus) *int32 {
			return s.TerminatingReplicas
		})),
	}
	status.FullyLabeledReplicas = min(status.FullyLabeledReplicas, status.Replicas)
	status.ReadyReplicas = min(status.ReadyReplicas, status.Replicas)
	status.AvailableReplicas = min(status.AvailableReplicas, status.ReadyReplicas)
	if failure := replicaSetFailure(in); failure != nil {
		status.Conditions = append(status.Conditions, *failure)
	}
	return status
}

func replicaSetFailure(in replicaSetInput) *appsv1.ReplicaSetCondition {
	reason, message := failures(in.members, func(s appsv1.ReplicaSetStatus) (string, string) {
		if own := replicaSetCondition(s.Conditions); own != nil && own.Status == corev1.ConditionTrue {
			return own.Reason, own.Message
		}
		return "", ""
	})
	if reason == "" {
		return nil
	}
	since := in.now
	if before := replicaSetCondition(in.template.Status.Conditions); before != nil && before.Status == corev1.ConditionTrue {
		since = before.LastTransitionTime
	}
	return &appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
		LastTransitionTime: since, Reason: reason, Message: message,
	}
}

// replicaSetCondition returns the one condition a ReplicaSet can have.
func replicaSetCondition(conditions []appsv1.ReplicaSetCondition) *appsv1.ReplicaSetCondition {
	for i := range conditions {
		if conditions[i].Type == appsv1.ReplicaSetReplicaFailure {
			return &conditions[i]
		}
	}
	return nil
}
