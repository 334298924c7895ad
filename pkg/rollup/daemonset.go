// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	appsv1 "k8s.io/api/apps/v1"
)

// daemonSet sums counters: the nodes of the fleet are those of all members. On those of
// a member that nobody hears from nothing is available.
func daemonSet(in input[appsv1.DaemonSet, appsv1.DaemonSetStatus]) appsv1.DaemonSetStatus {
	total := func(counter func(appsv1.DaemonSetStatus) int32, filters ...func(reported[appsv1.DaemonSetStatus]) bool) int32 {
		return clamp(sum(in.members, counter, filters...))
	}
	status := appsv1.DaemonSetStatus{
		ObservedGeneration:     in.observedGeneration,
		CurrentNumberScheduled: total(func(s appsv1.DaemonSetStatus) int32 { return s.CurrentNumberScheduled }),
		DesiredNumberScheduled: total(func(s appsv1.DaemonSetStatus) int32 { return s.DesiredNumberScheduled }),
		NumberMisscheduled:     total(func(s appsv1.DaemonSetStatus) int32 { return s.NumberMisscheduled }),
		NumberReady:            total(func(s appsv1.DaemonSetStatus) int32 { return s.NumberReady }, heard),
		NumberAvailable:        total(func(s appsv1.DaemonSetStatus) int32 { return s.NumberAvailable }, heard),
		UpdatedNumberScheduled: total(func(s appsv1.DaemonSetStatus) int32 { return s.UpdatedNumberScheduled }, current),
		CollisionCount:         in.template.Status.CollisionCount,
	}
	status.NumberUnavailable = max(status.DesiredNumberScheduled-status.NumberAvailable, 0)
	return status
}
