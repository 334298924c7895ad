// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

func (r resource) in() dynamic.ResourceInterface {
	if r.namespace == "" {
		return fleet.Dynamic.Resource(r.gvr())
	}
	return fleet.Dynamic.Resource(r.gvr()).Namespace(r.namespace)
}

// apply applies what is written in YAML as the manager.
func apply(t *testing.T, r resource, manager, text string, options metav1.ApplyOptions) (*unstructured.Unstructured, error) {
	t.Helper()
	object := decode(text)
	object["apiVersion"], object["kind"] = r.group+"/v1alpha1", r.kind
	name := nameOf(r.object(nil))
	object["metadata"] = map[string]any{"name": name}
	options.FieldManager = manager
	return r.in().Apply(t.Context(), name, &unstructured.Unstructured{Object: object}, options)
}

func mustApply(t *testing.T, r resource, manager, text string) *unstructured.Unstructured {
	t.Helper()
	applied, err := apply(t, r, manager, text, metav1.ApplyOptions{})
	if err != nil {
		t.Fatalf("apply %s as %q: %s", r.kind, manager, describe(err))
	}
	return applied
}

func TestServerSideApply(t *testing.T) {
	t.Run("Conflict", func(t *testing.T) {
		tests := map[string]struct {
			resource   resource
			one, other string
			want       string
		}{
			"Cluster":                  {clusters, `spec: {syncMode: Push, region: eu}`, `spec: {syncMode: Push, region: us}`, ".spec.region"},
			"PropagationPolicy":        {propagationPolicies, propagation + "  priority: 1", propagation + "  priority: 2", ".spec.priority"},
			"ClusterPropagationPolicy": {clusterPropagationPolicies, propagation + "  preemption: Always", propagation + "  preemption: Never", ".spec.preemption"},
			"OverridePolicy": {
				overridePolicies, override, `spec: {overrideRules: [{overriders: {expression: "Object{}"}}]}`, ".spec.overrideRules",
			},
			"ClusterOverridePolicy": {
				clusterOverridePolicies, override, `spec: {overrideRules: [{overriders: {expression: "Object{}"}}]}`, ".spec.overrideRules",
			},
			"ResourceBinding": {
				resourceBindings, resourceBindings.valid + "  replicas: 1", resourceBindings.valid + "  replicas: 2", ".spec.replicas",
			},
			"ClusterResourceBinding": {
				clusterResourceBindings, clusterResourceBindings.valid + "  schedulerName: a", clusterResourceBindings.valid + "  schedulerName: b", ".spec.schedulerName",
			},
			"ResourceInterpreterCustomization": {
				customizations, customizations.valid, `spec: {customizations: {healthInterpretation: {expression: "true"}}}`,
				".spec.customizations.healthInterpretation.expression",
			},
		}
		for name, tc := range tests {
			t.Run(name, func(t *testing.T) {
				r := tc.resource.named("applied")
				remove(t, r)
				mustApply(t, r, "one", tc.one)
				_, err := apply(t, r, "other", tc.other, metav1.ApplyOptions{})
				if !apierrors.IsConflict(err) {
					t.Fatalf("apply by a second manager: want 409 Conflict, got %v", err)
				}
				want := []metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Message: `conflict with "one"`, Field: tc.want}}
				if diff := cmp.Diff(want, err.(apierrors.APIStatus).Status().Details.Causes); diff != "" {
					t.Errorf("causes of the conflict, -want +got:\n%s", diff)
				}
				if _, err := apply(t, r, "other", tc.other, metav1.ApplyOptions{Force: true}); err != nil {
					t.Errorf("a forced apply takes the field over: %s", describe(err))
				}
			})
		}
	})
	t.Run("Unchanged", func(t *testing.T) {
		r := clusters.named("unchanged")
		remove(t, r)
		text := `spec: {syncMode: Push, zone: a, taints: [{key: down, effect: NoExecute}]}`
		first := mustApply(t, r, "one", text)
		second := mustApply(t, r, "one", text)
		if diff := cmp.Diff(first.GetResourceVersion(), second.GetResourceVersion()); diff != "" {
			t.Errorf("applying the same again wrote something, though defaults and server-set fields are not the applier's:\n%s", cmp.Diff(first, second))
		}
	})
	t.Run("SharedList", func(t *testing.T) {
		r := clusters.named("shared")
		remove(t, r)
		mustApply(t, r, "admin", `spec: {syncMode: Push, taints: [{key: a, effect: NoSchedule}]}`)
		mustApply(t, r, "controller", `spec: {syncMode: Push, taints: [{key: b, effect: NoSchedule}]}`)
		after := mustApply(t, r, "admin", `spec: {syncMode: Push}`)
		taints, _, _ := unstructured.NestedSlice(after.Object, "spec", "taints")
		if diff := cmp.Diff([]any{map[string]any{"key": "b", "effect": "NoSchedule"}}, taints); diff != "" {
			t.Errorf("each manager owns its own taints, -want +got:\n%s", diff)
		}
	})
	t.Run("StatusOwnsNoSpec", func(t *testing.T) {
		r := clusters.named("reported")
		remove(t, r)
		mustApply(t, r, "admin", `spec: {syncMode: Push}`)
		object := decode(`status: {kubernetesVersion: v1.36.3}`)
		object["apiVersion"], object["kind"], object["metadata"] = "cluster.fleet.dev/v1alpha1", "Cluster", map[string]any{"name": "reported"}
		object["spec"] = map[string]any{"syncMode": "Pull"}
		reported, err := r.in().ApplyStatus(t.Context(), "reported", &unstructured.Unstructured{Object: object}, metav1.ApplyOptions{FieldManager: "syncer"})
		if err != nil {
			t.Fatalf("apply the status: %s", describe(err))
		}
		if mode, _, _ := unstructured.NestedString(reported.Object, "spec", "syncMode"); mode != "Push" {
			t.Errorf("applying a status changed the spec: syncMode is %q", mode)
		}
		for _, entry := range reported.GetManagedFields() {
			if entry.Manager == "syncer" {
				if diff := cmp.Diff(`{"f:status":{"f:kubernetesVersion":{}}}`, entry.FieldsV1.GetRawString()); diff != "" {
					t.Errorf("fields the syncer owns, -want +got:\n%s", diff)
				}
			}
		}
	})
}

// remove deletes the object when the test ends.
func remove(t *testing.T, r resource) {
	t.Helper()
	name := nameOf(r.object(nil))
	t.Cleanup(func() {
		if err := r.in().Delete(withoutCancel(t), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up %s %s: %v", r.plural, name, err)
		}
	})
}
