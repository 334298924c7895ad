// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// podDisruptionBudget sums counters. Evictions happen, and are refused, in the
// members, so disrupted Pods are their matter and not listed.
func podDisruptionBudget(in input[policyv1.PodDisruptionBudget, policyv1.PodDisruptionBudgetStatus]) policyv1.PodDisruptionBudgetStatus {
	total := func(counter func(policyv1.PodDisruptionBudgetStatus) int32) int32 {
		return clamp(sum(in.members, counter))
	}
	status := policyv1.PodDisruptionBudgetStatus{
		ObservedGeneration: in.observedGeneration,
		DisruptionsAllowed: total(func(s policyv1.PodDisruptionBudgetStatus) int32 { return s.DisruptionsAllowed }),
		CurrentHealthy:     total(func(s policyv1.PodDisruptionBudgetStatus) int32 { return s.CurrentHealthy }),
		DesiredHealthy:     total(func(s policyv1.PodDisruptionBudgetStatus) int32 { return s.DesiredHealthy }),
		ExpectedPods:       total(func(s policyv1.PodDisruptionBudgetStatus) int32 { return s.ExpectedPods }),
		Conditions:         in.template.Status.DeepCopy().Conditions,
	}
	allowed := metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.InsufficientPodsReason,
		ObservedGeneration: status.ObservedGeneration, LastTransitionTime: in.now,
	}
	if status.DisruptionsAllowed > 0 {
		allowed.Status, allowed.Reason = metav1.ConditionTrue, policyv1.SufficientPodsReason
	}
	meta.SetStatusCondition(&status.Conditions, allowed)
	return status
}
