// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const barePod = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - {name: web, image: nginx, resources: {requests: {cpu: "1"}}}
  - {name: log, image: busybox}
`

// TestPodKeepsItsResources: a Pod that was resized in its member stays so, whatever the
// work says, and what else the work says is applied.
func TestPodKeepsItsResources(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("web", barePod)
	r.await("web", "that it is applied", applied)
	r.member.Edit(t, "Pod", "shop", "web", func(o *unstructured.Unstructured) {
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "containers")
		put(t, &unstructured.Unstructured{Object: containers[0].(map[string]any)}, "2", "resources", "requests", "cpu")
		put(t, o, containers, "spec", "containers")
	})
	r.settle()
	r.countAnew()
	r.want("web", barePod, func(w *workv1alpha1.Work) { w.Spec.Template.Generation = 2 })
	r.settle()
	if writes := r.member.Writes(); writes > 0 {
		t.Errorf("want no writes, got %d", writes)
	}
	r.want("web", barePod+"  activeDeadlineSeconds: 60\n")
	r.eventually("the rest is applied", func() error {
		pod := r.member.Get("Pod", "shop", "web")
		deadline, _, _ := unstructured.NestedInt64(pod.Object, "spec", "activeDeadlineSeconds")
		containers, _, _ := unstructured.NestedSlice(pod.Object, "spec", "containers")
		cpu, _, _ := unstructured.NestedString(containers[0].(map[string]any), "resources", "requests", "cpu")
		if deadline != 60 || cpu != "2" || len(containers) != 2 {
			return fmt.Errorf("want a deadline and 2 CPUs, got %v", pod.Object["spec"])
		}
		return nil
	})
}
