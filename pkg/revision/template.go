// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/render"
)

// Stamp returns the hash that the Pod templates of a workload's copies in members
// carry as label fleet.dev/template.
func Stamp(workload metav1.Object, kind schema.GroupVersionKind) (string, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(workload)
	if err != nil {
		return "", fmt.Errorf("encode %s %q: %w", kind.Kind, workload.GetName(), err)
	}
	object := &unstructured.Unstructured{Object: fields}
	object.SetGroupVersionKind(kind)
	stamp, _, err := render.PodTemplateHash(object)
	return stamp, err
}

// stamped is the Pod template as members get it.
func stamped(template *corev1.PodTemplateSpec, stamp string) *corev1.PodTemplateSpec {
	copied := template.DeepCopy()
	if copied.Labels == nil {
		copied.Labels = map[string]string{}
	}
	if render.DropMarks(copied.Labels, copied.Annotations); len(copied.Annotations) == 0 {
		copied.Annotations = nil
	}
	copied.Labels[wellknown.LabelTemplate] = stamp
	return copied
}

// with returns a copy of a map with some keys set.
func with(from map[string]string, set map[string]string) map[string]string {
	copied := make(map[string]string, len(from)+len(set))
	for _, values := range []map[string]string{from, set} {
		maps.Copy(copied, values)
	}
	return copied
}
