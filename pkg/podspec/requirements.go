// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// PodOf is a Pod of a template as a member defaults it: who limits and does not
// request asks for the limits, for one. The template is not changed.
func PodOf(namespace string, from *corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: from.Labels}, Spec: *from.Spec.DeepCopy()}
	corev1defaults.SetDefaults_Pod(pod)
	return pod
}

// Requirements returns what one Pod with the spec needs from a member. It shares
// memory with the spec.
func Requirements(namespace string, spec *corev1.PodSpec) *workv1alpha1.ReplicaRequirements {
	requests := resourcehelper.PodRequests(&corev1.Pod{Spec: *spec}, resourcehelper.PodResourcesOptions{})
	for name, quantity := range requests {
		if quantity.IsZero() {
			delete(requests, name)
		}
	}
	if len(requests) == 0 {
		requests = nil
	}
	return &workv1alpha1.ReplicaRequirements{
		NodeClaim:         nodeClaim(spec),
		ResourceRequest:   requests,
		Namespace:         namespace,
		PriorityClassName: spec.PriorityClassName,
	}
}

func nodeClaim(spec *corev1.PodSpec) *workv1alpha1.NodeClaim {
	claim := &workv1alpha1.NodeClaim{NodeSelector: spec.NodeSelector, Tolerations: spec.Tolerations}
	if spec.Affinity != nil && spec.Affinity.NodeAffinity != nil {
		claim.HardNodeAffinity = spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if len(claim.NodeSelector) == 0 && len(claim.Tolerations) == 0 && claim.HardNodeAffinity == nil {
		return nil
	}
	return claim
}
