// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// horizontalPodAutoscaler sums the replicas of members, of which each scales by itself.
// A condition holds when it holds everywhere; of those where it does not, the first says
// why. Metrics are those of the only member: averages of averages mean nothing.
func horizontalPodAutoscaler(in input[autoscalingv2.HorizontalPodAutoscaler, autoscalingv2.HorizontalPodAutoscalerStatus]) autoscalingv2.HorizontalPodAutoscalerStatus {
	total := func(counter func(autoscalingv2.HorizontalPodAutoscalerStatus) int32) int32 {
		return clamp(sum(in.members, counter))
	}
	status := autoscalingv2.HorizontalPodAutoscalerStatus{
		CurrentReplicas: total(func(s autoscalingv2.HorizontalPodAutoscalerStatus) int32 { return s.CurrentReplicas }),
		DesiredReplicas: total(func(s autoscalingv2.HorizontalPodAutoscalerStatus) int32 { return s.DesiredReplicas }),
		LastScaleTime:   in.template.Status.LastScaleTime,
	}
	if in.observedGeneration > 0 {
		status.ObservedGeneration = new(in.observedGeneration)
	}
	for _, member := range in.members {
		status.LastScaleTime = later(status.LastScaleTime, member.status.LastScaleTime)
	}
	if len(in.members) == 1 {
		status.CurrentMetrics = in.members[0].status.CurrentMetrics
	}
	for _, kind := range []autoscalingv2.HorizontalPodAutoscalerConditionType{autoscalingv2.AbleToScale, autoscalingv2.ScalingActive, autoscalingv2.ScalingLimited} {
		if condition, ok := scalingCondition(in.members, kind); ok {
			condition.LastTransitionTime = since(in.template.Status.Conditions, condition, in.now)
			status.Conditions = append(status.Conditions, condition)
		}
	}
	return status
}

// scalingCondition returns what members together say, false when none says anything. That
// scaling is limited holds when it is somewhere; the others hold when they do everywhere.
func scalingCondition(members []reported[autoscalingv2.HorizontalPodAutoscalerStatus], kind autoscalingv2.HorizontalPodAutoscalerConditionType) (autoscalingv2.HorizontalPodAutoscalerCondition, bool) {
	good := corev1.ConditionTrue
	if kind == autoscalingv2.ScalingLimited {
		good = corev1.ConditionFalse
	}
	var out autoscalingv2.HorizontalPodAutoscalerCondition
	found := false
	for _, member := range members {
		at := slices.IndexFunc(member.status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool { return c.Type == kind })
		if at < 0 {
			continue
		}
		condition := member.status.Conditions[at]
		if found && (out.Status != good || condition.Status == good) {
			continue
		}
		if out, found = condition, true; len(members) > 1 && out.Status != good {
			out.Message = fmt.Sprintf("member %q: %s", member.Cluster, condition.Message)
		}
	}
	return out, found
}

// since is when a condition came to have its status.
func since(before []autoscalingv2.HorizontalPodAutoscalerCondition, condition autoscalingv2.HorizontalPodAutoscalerCondition, now metav1.Time) metav1.Time {
	for _, old := range before {
		if old.Type == condition.Type && old.Status == condition.Status {
			return old.LastTransitionTime
		}
	}
	return now
}
