// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// noVersion is that of pkg/syncer.
const noVersion = "9223372036854775807"

// TestApplyThatOnlyCreates is about what syncers rely on in members: applied with a
// resourceVersion that no object has, an object is created, and one that exists is left
// as it is. Members' API servers are made of the same parts as this one.
func TestApplyThatOnlyCreates(t *testing.T) {
	cases := map[string]struct{ group, version, resource, manifest string }{
		"ConfigMap": {version: "v1", resource: "configmaps", manifest: `
apiVersion: v1
kind: ConfigMap
data: {key: value}`},
		"Service": {version: "v1", resource: "services", manifest: `
apiVersion: v1
kind: Service
spec: {ports: [{port: 80}]}`},
		"Pod": {version: "v1", resource: "pods", manifest: `
apiVersion: v1
kind: Pod
spec: {containers: [{name: web, image: nginx}]}`},
		"Deployment": {group: "apps", version: "v1", resource: "deployments", manifest: `
apiVersion: apps/v1
kind: Deployment
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}`},
		"Role": {group: "rbac.authorization.k8s.io", version: "v1", resource: "roles", manifest: `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]`},
		"PodDisruptionBudget": {group: "policy", version: "v1", resource: "poddisruptionbudgets", manifest: `
apiVersion: policy/v1
kind: PodDisruptionBudget
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(tc.manifest), &object.Object); err != nil {
				t.Fatal(err)
			}
			object.SetName("only")
			objects := shared.Dynamic.Resource(schema.GroupVersionResource{Group: tc.group, Version: tc.version, Resource: tc.resource}).Namespace(namespace(t, nil))
			options := metav1.ApplyOptions{FieldManager: wellknown.FieldManager}
			object.SetResourceVersion(noVersion)
			created, err := objects.Apply(t.Context(), "only", object, options)
			if err != nil {
				t.Fatalf("apply what does not exist: %v", err)
			}
			if managed := created.GetManagedFields(); len(managed) != 1 || managed[0].Operation != metav1.ManagedFieldsOperationApply {
				t.Errorf("what was created is managed as %v, want as applied by one manager", managed)
			}

			object.SetLabels(map[string]string{"more": "of-it"})
			options.Force = true
			if _, err := objects.Apply(t.Context(), "only", object, options); !apierrors.IsConflict(err) {
				t.Errorf("apply what exists: %v, want a conflict", err)
			}
			live, err := objects.Get(t.Context(), "only", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(created, live); diff != "" {
				t.Errorf("what exists was changed: -created +live:\n%s", diff)
			}
			if err := objects.Delete(t.Context(), "only", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
