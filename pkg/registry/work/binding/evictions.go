// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/work"
)

// stampEvictions says of each task since when it is there, from which its grace
// period counts. A writer who leaves that out of a task does not make it younger.
func stampEvictions(tasks, before []work.GracefulEvictionTask, now time.Time) {
	for i := range tasks {
		task := &tasks[i]
		if task.CreationTimestamp != nil {
			continue
		}
		created := metav1.NewTime(now).Rfc3339Copy()
		for _, known := range before {
			if known.FromCluster == task.FromCluster && known.Producer == task.Producer && known.CreationTimestamp != nil {
				created = *known.CreationTimestamp
			}
		}
		task.CreationTimestamp = &created
	}
}
