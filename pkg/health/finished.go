// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	jobutil "k8s.io/kubernetes/pkg/controller/job/util"
)

// Finished returns true for the status, as JSON, of a Job or a Pod that ran to its end,
// whether or not it succeeded. Neither ever runs again; one that is made anew would do its
// work a second time. A status that cannot be read is of something that still runs.
func Finished(kind schema.GroupKind, status []byte) bool {
	switch kind {
	case schema.GroupKind{Group: batchv1.GroupName, Kind: "Job"}:
		var job batchv1.Job
		return json.Unmarshal(status, &job.Status) == nil && jobutil.IsJobFinished(&job)
	case schema.GroupKind{Kind: "Pod"}:
		var pod corev1.PodStatus
		return json.Unmarshal(status, &pod) == nil && podFinished(&pod)
	}
	return false
}

// podFinished returns true for a Pod whose containers ended by themselves. One that was
// evicted, or whose node is gone, is Failed as well.
func podFinished(pod *corev1.PodStatus) bool {
	for _, c := range pod.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return pod.Phase == corev1.PodSucceeded
		}
	}
	return podutil.IsPodPhaseTerminal(pod.Phase)
}
