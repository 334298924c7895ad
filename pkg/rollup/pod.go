// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pod is the rule of bare Pods: the status of the one member a Pod runs in. Its
// qosClass is that of the fleet's Pod, given when it was created and immutable
// since; overrides may make it another one in the member.
func pod(template *unstructured.Unstructured, members []Member, now metav1.Time) (map[string]any, error) {
	status, err := asIs(template, members, now)
	if class, found, _ := unstructured.NestedString(template.Object, "status", "qosClass"); found && status != nil {
		status["qosClass"] = class
	}
	return status, err
}
