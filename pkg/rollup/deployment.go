// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	deploymentutil "k8s.io/kubernetes/pkg/controller/deployment/util"
	"k8s.io/utils/ptr"
)

type (
	deploymentInput  = input[appsv1.Deployment, appsv1.DeploymentStatus]
	deploymentMember = reported[appsv1.DeploymentStatus]
)

// deployment follows the Deployment controller (calculateStatus in sync.go,
// syncRolloutStatus in progress.go) with members in the place of ReplicaSets.
func deployment(in deploymentInput) appsv1.DeploymentStatus {
	replicas := ptr.Deref(in.template.Spec.Replicas, 1)
	in.template.Spec.Replicas = &replicas
	status := deploymentCounters(in, replicas)
	conditions := []*appsv1.DeploymentCondition{
		deploymentAvailable(in, &status),
		deploymentProgressing(in, &status),
		deploymentFailure(in),
	}
	for _, condition := range conditions {
		if condition != nil {
			status.Conditions = append(status.Conditions, *condition)
		}
	}
	// Waiters look at observedGeneration first: without it they would never come
	// to read that the rollout failed.
	if exceeded := deploymentutil.GetDeploymentCondition(status, appsv1.DeploymentProgressing); exceeded != nil &&
		exceeded.Reason == deploymentutil.TimedOutReason {
		status.ObservedGeneration = max(status.ObservedGeneration, in.generation)
	}
	return status
}

func deploymentCounters(in deploymentInput, replicas int32) appsv1.DeploymentStatus {
	n := copiesOf(replicas, in.members)
	status := appsv1.DeploymentStatus{
		ObservedGeneration: in.observed(replicas),
		Replicas:           n.up(sum(in.members, func(s appsv1.DeploymentStatus) int32 { return s.Replicas })),
		UpdatedReplicas:    n.down(sum(in.members, func(s appsv1.DeploymentStatus) int32 { return s.UpdatedReplicas }, current)),
		ReadyReplicas:      n.down(sum(in.members, func(s appsv1.DeploymentStatus) int32 { return s.ReadyReplicas }, heard)),
		AvailableReplicas:  n.down(sum(in.members, func(s appsv1.DeploymentStatus) int32 { return s.AvailableReplicas }, heard)),
		TerminatingReplicas: n.upOptional(sumOptional(in.members, func(s appsv1.DeploymentStatus) *int32 {
			return s.TerminatingReplicas
		})),
		CollisionCount: in.template.Status.CollisionCount,
	}
	status.UpdatedReplicas = min(status.UpdatedReplicas, status.Replicas)
	status.ReadyReplicas = min(status.ReadyReplicas, status.Replicas)
	status.AvailableReplicas = min(status.AvailableReplicas, status.ReadyReplicas)
	// Replicas that no member has made yet are unavailable as well.
	unavailable := n.up(sum(in.members, func(s appsv1.DeploymentStatus) int32 { return s.UnavailableReplicas }))
	status.UnavailableReplicas = max(unavailable, replicas-status.AvailableReplicas, 0)
	return status
}

// deploymentAvailable applies upstream's maxUnavailable rule to the whole fleet.
func deploymentAvailable(in deploymentInput, status *appsv1.DeploymentStatus) *appsv1.DeploymentCondition {
	if status.AvailableReplicas >= *in.template.Spec.Replicas-deploymentutil.MaxUnavailable(*in.template) {
		return deploymentCondition(in, appsv1.DeploymentAvailable, corev1.ConditionTrue,
			deploymentutil.MinimumReplicasAvailable, "Deployment has minimum availability.")
	}
	return deploymentCondition(in, appsv1.DeploymentAvailable, corev1.ConditionFalse,
		deploymentutil.MinimumReplicasUnavailable, "Deployment does not have minimum availability.")
}

// deploymentProgressing returns nil for a Deployment without a deadline, as
// upstream does.
func deploymentProgressing(in deploymentInput, status *appsv1.DeploymentStatus) *appsv1.DeploymentCondition {
	template := in.template
	if !deploymentutil.HasProgressDeadline(template) {
		return nil
	}
	before := deploymentutil.GetDeploymentCondition(template.Status, appsv1.DeploymentProgressing)
	if template.Spec.Paused {
		if before != nil && before.Reason == deploymentutil.TimedOutReason {
			return before
		}
		return deploymentCondition(in, appsv1.DeploymentProgressing, corev1.ConditionUnknown,
			deploymentutil.PausedDeployReason, "Deployment is paused")
	}
	late, message := lateMember(in)
	switch {
	case deploymentutil.DeploymentComplete(template, status):
		return deploymentCondition(in, appsv1.DeploymentProgressing, corev1.ConditionTrue, deploymentutil.NewRSAvailableReason,
			progressMessage(in, deploymentutil.NewRSAvailableReason, "has successfully progressed"))
	case late:
		return deploymentCondition(in, appsv1.DeploymentProgressing, corev1.ConditionFalse, deploymentutil.TimedOutReason, message)
	case settled(in, status, before):
		return before
	case started(in, before) || deploymentutil.DeploymentProgressing(template, status):
		progressing := deploymentCondition(in, appsv1.DeploymentProgressing, corev1.ConditionTrue, deploymentutil.ReplicaSetUpdatedReason,
			progressMessage(in, deploymentutil.ReplicaSetUpdatedReason, "is progressing"))
		progressing.LastUpdateTime = in.now
		return progressing
	case progressLeft(template, before, in.now.Time) < 0:
		return deploymentCondition(in, appsv1.DeploymentProgressing, corev1.ConditionFalse, deploymentutil.TimedOutReason,
			progressMessage(in, deploymentutil.TimedOutReason, "has timed out progressing"))
	default:
		return before
	}
}

// progressMessage returns what all members say that progress as far, which names the
// ReplicaSet as upstream does; the Deployment is named where they differ, because an
// override gives them other Pods or their versions hash them otherwise.
func progressMessage(in deploymentInput, reason, otherwise string) string {
	common := ""
	for _, member := range in.members {
		own := deploymentutil.GetDeploymentCondition(member.status, appsv1.DeploymentProgressing)
		switch {
		case !member.current || own == nil || own.Reason != reason:
		case common == "" || common == own.Message:
			common = own.Message
		default:
			return fmt.Sprintf("Deployment %q %s.", in.template.Name, otherwise)
		}
	}
	if common == "" {
		return fmt.Sprintf("Deployment %q %s.", in.template.Name, otherwise)
	}
	return common
}

// settled says that no rollout is going on, so that there is no progress to
// estimate: the last one was complete, and no member has started one since. A
// change of scale alone does not start one, as upstream.
func settled(in deploymentInput, status *appsv1.DeploymentStatus, before *appsv1.DeploymentCondition) bool {
	if before == nil || before.Reason != deploymentutil.NewRSAvailableReason || status.Replicas != status.UpdatedReplicas {
		return false
	}
	return all(in.members, func(m deploymentMember) bool {
		own := deploymentutil.GetDeploymentCondition(m.status, appsv1.DeploymentProgressing)
		return m.current && own != nil && own.Reason == deploymentutil.NewRSAvailableReason
	})
}

// started says that the clock of a rollout has to start now: the condition is
// about an earlier one, or about none.
func started(in deploymentInput, before *appsv1.DeploymentCondition) bool {
	if before == nil {
		return true
	}
	switch before.Reason {
	case deploymentutil.ReplicaSetUpdatedReason:
		return false
	case deploymentutil.TimedOutReason:
		// Exceeding the deadline moved observedGeneration to the generation it
		// was about.
		return in.observedBefore < in.generation
	default:
		return true
	}
}

// progressLeft returns how long a rollout may still go without progress.
func progressLeft(template *appsv1.Deployment, progressing *appsv1.DeploymentCondition, now time.Time) time.Duration {
	deadline := time.Duration(*template.Spec.ProgressDeadlineSeconds) * time.Second
	return progressing.LastUpdateTime.Add(deadline).Sub(now)
}

// lateMember finds members whose own rollout of this generation exceeded its
// deadline, and says which do when there are others.
func lateMember(in deploymentInput) (bool, string) {
	var messages []string
	for _, member := range in.members {
		own := deploymentutil.GetDeploymentCondition(member.status, appsv1.DeploymentProgressing)
		if member.current && own != nil && own.Reason == deploymentutil.TimedOutReason {
			messages = append(messages, fmt.Sprintf("member %q: %s", member.Cluster, own.Message))
		}
	}
	if len(messages) > 0 && len(messages) == len(in.members) {
		return true, progressMessage(in, deploymentutil.TimedOutReason, "has timed out progressing")
	}
	return len(messages) > 0, strings.Join(messages, "; ")
}

// deploymentFailure names the members that cannot make replicas, or refuse the
// Deployment; nil when there is none.
func deploymentFailure(in deploymentInput) *appsv1.DeploymentCondition {
	reason, message := failures(in.members, func(s appsv1.DeploymentStatus) (string, string) {
		own := deploymentutil.GetDeploymentCondition(s, appsv1.DeploymentReplicaFailure)
		if own == nil || own.Status != corev1.ConditionTrue {
			return "", ""
		}
		return own.Reason, own.Message
	})
	if reason == "" {
		return nil
	}
	return deploymentCondition(in, appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, reason, message)
}

// deploymentCondition returns a condition that keeps the times of the one it replaces as
// far as it does not change.
func deploymentCondition(in deploymentInput, conditionType appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) *appsv1.DeploymentCondition {
	condition := &appsv1.DeploymentCondition{
		Type: conditionType, Status: status, Reason: reason, Message: message,
		LastUpdateTime: in.now, LastTransitionTime: in.now,
	}
	before := deploymentutil.GetDeploymentCondition(in.template.Status, conditionType)
	if before == nil || before.Status != status {
		return condition
	}
	condition.LastTransitionTime = before.LastTransitionTime
	if before.Reason == reason && before.Message == message {
		condition.LastUpdateTime = before.LastUpdateTime
	}
	return condition
}
