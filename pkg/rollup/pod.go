// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pod is the rule of bare Pods: the status of the one member a Pod runs in. Its
// qosClass is that of the fleet's Pod, given when it was created and immutable
// since; overrides may make it another one in the member. While nobody hears from the
// member the Pod is not ready, as one on a node that the control plane lost.
func pod(template *unstructured.Unstructured, members []Member, now metav1.Time) (map[string]any, error) {
	status, err := asIs(template, members, now)
	if class, found, _ := unstructured.NestedString(template.Object, "status", "qosClass"); found && status != nil {
		status["qosClass"] = class
	}
	if slices.ContainsFunc(members, func(m Member) bool { return m.Unreachable }) {
		notReady(template, status, now)
	}
	return status, err
}

// notReady sets the condition Ready of a Pod's status, if there is one, to false. Since
// when is what the template says, if it does already.
func notReady(template *unstructured.Unstructured, status map[string]any, now metav1.Time) {
	ready := podCondition(status, corev1.PodReady)
	if ready == nil || ready["status"] == string(corev1.ConditionFalse) {
		return
	}
	ready["status"] = string(corev1.ConditionFalse)
	ready["lastTransitionTime"] = now.UTC().Format(time.RFC3339)
	old, _, _ := unstructured.NestedMap(template.Object, "status")
	if before := podCondition(old, corev1.PodReady); before != nil && before["status"] == ready["status"] {
		ready["lastTransitionTime"] = before["lastTransitionTime"]
	}
}

// podCondition returns a condition of a Pod's status, nil when there is none.
func podCondition(status map[string]any, conditionType corev1.PodConditionType) map[string]any {
	conditions, _ := status["conditions"].([]any)
	for _, condition := range conditions {
		if fields, ok := condition.(map[string]any); ok && fields["type"] == string(conditionType) {
			return fields
		}
	}
	return nil
}
