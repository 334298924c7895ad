// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"cmp"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cronJob lists the running Jobs of all members, and the latest of their times.
func cronJob(in input[batchv1.CronJob, batchv1.CronJobStatus]) batchv1.CronJobStatus {
	status := batchv1.CronJobStatus{}
	for _, member := range in.members {
		status.Active = append(status.Active, member.status.Active...)
		status.LastScheduleTime = later(status.LastScheduleTime, member.status.LastScheduleTime)
		status.LastSuccessfulTime = later(status.LastSuccessfulTime, member.status.LastSuccessfulTime)
	}
	slices.SortStableFunc(status.Active, func(a, b corev1.ObjectReference) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	// When the members are new, the fleet still knows when it ran before.
	status.LastScheduleTime = later(status.LastScheduleTime, in.template.Status.LastScheduleTime)
	status.LastSuccessfulTime = later(status.LastSuccessfulTime, in.template.Status.LastSuccessfulTime)
	return status
}

// later returns the later of two times, either of which may be nil.
func later(a, b *metav1.Time) *metav1.Time {
	if a == nil || b != nil && a.Before(b) {
		return b
	}
	return a
}
