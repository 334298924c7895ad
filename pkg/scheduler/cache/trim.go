// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Trim drops what the scheduler does not read of an object before it is kept: the
// reports of members in a binding above all, of which it keeps the verdicts while
// a member waits for them to be evicted, and those about Pods without a node. It is a cache.TransformFunc; it
// changes the object it is given.
func Trim(object any) (any, error) {
	if meta, ok := object.(metav1.Object); ok {
		meta.SetManagedFields(nil)
	}
	binding, ok := object.(workv1alpha1.Binding)
	if !ok {
		return object, nil
	}
	status := binding.GetStatus()
	kept := workv1alpha1.BindingStatus{Reasons: status.Reasons, LastScheduledTime: status.LastScheduledTime}
	for _, condition := range status.Conditions {
		if condition.Type == workv1alpha1.ConditionScheduled {
			kept.Conditions = []metav1.Condition{condition}
		}
	}
	awaited := len(binding.GetSpec().GracefulEvictionTasks) > 0
	for _, item := range status.AggregatedStatus {
		if awaited || item.Unschedulable != nil {
			item.Status, item.AppliedMessage, item.Drift = nil, "", nil
			kept.AggregatedStatus = append(kept.AggregatedStatus, item)
		}
	}
	*status = kept
	return object, nil
}
