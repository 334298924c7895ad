// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// TestGraceOfTombstones has a member end a Pod in the time that its deletion gives it.
func TestGraceOfTombstones(t *testing.T) {
	const own = 30
	cases := map[string]struct {
		reason string
		grace  int64
		of     types.UID
		gone   bool
		want   int64 // 0 is what the Pod says of itself
	}{
		"Given":     {reason: "The user gives it less.", grace: 5, of: "1", want: 5},
		"More":      {reason: "Or more.", grace: 60, of: "1", want: 60},
		"Own":       {reason: "What the member's Pod says of itself may be overridden there.", grace: own, of: "1"},
		"Finalizer": {reason: "It is there for its finalizers, and was seen without a node.", of: "1"},
		"Earlier":   {reason: "The tombstone is that of an earlier Pod of the name.", grace: 5, of: "0"},
		"Gone":      {reason: "Nobody waits for it any more.", gone: true, of: "1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": "shop", "name": "web", "uid": "1"},
				"spec": map[string]any{"terminationGracePeriodSeconds": int64(own)},
			}}
			pod.SetDeletionTimestamp(new(metav1.Now()))
			pod.SetDeletionGracePeriodSeconds(&tc.grace)
			template, err := Prepare(pod)
			if err != nil {
				t.Fatal(err)
			}
			if tc.gone {
				template = nil
			}
			binding := &workv1alpha1.ResourceBinding{}
			binding.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web", UID: "1"}
			binding.Spec.Tombstones = []workv1alpha1.Tombstone{{ClusterName: "a", UID: tc.of}}
			work, err := Work("f", template, binding, "a")
			if err != nil {
				t.Fatal(err)
			}
			var named metav1.PartialObjectMetadata
			if err := json.Unmarshal(work.Spec.Workload.Manifests[0].Raw, &named); err != nil {
				t.Fatal(err)
			}
			got := int64(0)
			if named.DeletionGracePeriodSeconds != nil {
				got = *named.DeletionGracePeriodSeconds
			}
			if got != tc.want || !work.Spec.Deleted {
				t.Errorf("\n%s\ngrace: want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}
