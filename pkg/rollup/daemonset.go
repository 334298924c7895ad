// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	appsv1 "k8s.io/api/apps/v1"
)

// daemonSet sums counters: the nodes of the fleet are those of all members. Those of a
// member that nobody hears from are not to run anything, as nodes that the control plane
// lost: what runs there is there in spite of that.
func daemonSet(in input[appsv1.DaemonSet, appsv1.DaemonSetStatus]) appsv1.DaemonSetStatus {
	total := func(counter func(appsv1.DaemonSetStatus) int32, filters ...func(reported[appsv1.DaemonSetStatus]) bool) int64 {
		return sum(in.members, counter, filters...)
	}
	lost := total(func(s appsv1.DaemonSetStatus) int32 { return s.CurrentNumberScheduled }, unheard)
	return appsv1.DaemonSetStatus{
		ObservedGeneration:     in.observedGeneration,
		CurrentNumberScheduled: clamp(total(func(s appsv1.DaemonSetStatus) int32 { return s.CurrentNumberScheduled }, heard)),
		DesiredNumberScheduled: clamp(total(func(s appsv1.DaemonSetStatus) int32 { return s.DesiredNumberScheduled }, heard)),
		NumberMisscheduled:     clamp(lost + total(func(s appsv1.DaemonSetStatus) int32 { return s.NumberMisscheduled })),
		NumberReady:            clamp(total(func(s appsv1.DaemonSetStatus) int32 { return s.NumberReady }, heard)),
		NumberAvailable:        clamp(total(func(s appsv1.DaemonSetStatus) int32 { return s.NumberAvailable }, heard)),
		NumberUnavailable:      clamp(total(func(s appsv1.DaemonSetStatus) int32 { return s.NumberUnavailable }, heard)),
		UpdatedNumberScheduled: clamp(total(func(s appsv1.DaemonSetStatus) int32 { return s.UpdatedNumberScheduled }, current, heard)),
		CollisionCount:         in.template.Status.CollisionCount,
	}
}
