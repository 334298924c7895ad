// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rebalance

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	appsv1alpha1 "fleet.dev/fleet/pkg/apis/apps/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// judge says what became of a workload that was asked about; its binding is nil
// when there is none. Without a result the scheduler has not decided yet.
func judge(binding workv1alpha1.Binding) (result appsv1alpha1.RebalanceResult, reason string) {
	switch {
	case binding == nil:
		return appsv1alpha1.RebalanceFailed, appsv1alpha1.RebalanceBindingNotFound
	case suspended(binding):
		return appsv1alpha1.RebalanceFailed, appsv1alpha1.RebalanceSuspended
	case decided(binding):
		return appsv1alpha1.RebalanceSuccessful, ""
	}
	condition := meta.FindStatusCondition(binding.GetStatus().Conditions, workv1alpha1.ConditionScheduled)
	if condition != nil && condition.Status == metav1.ConditionFalse && condition.ObservedGeneration >= binding.GetGeneration() {
		return appsv1alpha1.RebalanceFailed, condition.Reason
	}
	return "", ""
}

// suspended reports whether the scheduler is not to decide.
func suspended(binding workv1alpha1.Binding) bool {
	suspension := binding.GetSpec().Suspension
	return suspension != nil && ptr.Deref(suspension.Scheduling, false)
}

// decided reports whether the scheduler decided since it was asked.
func decided(binding workv1alpha1.Binding) bool {
	at, last := binding.GetSpec().RescheduleTriggeredAt, binding.GetStatus().LastScheduledTime
	return at != nil && last != nil && !last.Before(at)
}

// same compares statuses.
func same(before, after *appsv1alpha1.WorkloadRebalancerStatus) bool {
	return equality.Semantic.DeepEqual(before, after)
}
