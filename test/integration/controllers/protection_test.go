// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/integration/harness"
)

// protect and unprotect are patches of the label.
const (
	protect   = `{"metadata":{"labels":{"` + wellknown.LabelDeletionProtected + `":"` + wellknown.DeletionProtectedAlways + `"}}}`
	unprotect = `{"metadata":{"labels":{"` + wellknown.LabelDeletionProtected + `":null}}}`
)

// wantForbidden has a deletion refused, with all of the words.
func wantForbidden(t *testing.T, reason string, err error, words ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Fatalf("%s: want it forbidden, got %v", reason, err)
	}
	for _, word := range append(words, wellknown.LabelDeletionProtected) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: want %q in %q", reason, word, err)
		}
	}
}

// testProtection has deletions refused of what is protected, and of what would take
// it along, until the label is removed.
func testProtection(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	ctx := t.Context()
	namespace := newNamespace(t, fleet, "protected")
	namespaces, configMaps := fleet.Kube.CoreV1().Namespaces(), fleet.Kube.CoreV1().ConfigMaps(namespace)
	for _, name := range []string{"kept", "other"} {
		must[*corev1.ConfigMap](t)(configMaps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	}
	must[*corev1.ConfigMap](t)(configMaps.Patch(ctx, "kept", types.MergePatchType, []byte(protect), metav1.PatchOptions{}))

	for _, propagation := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		wantForbidden(t, "an object", configMaps.Delete(ctx, "kept", metav1.DeleteOptions{PropagationPolicy: &propagation}), "remove the label")
	}
	wantForbidden(t, "many objects", configMaps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: wellknown.LabelDeletionProtected}))
	wantForbidden(t, "a namespace with the object", namespaces.Delete(ctx, namespace, metav1.DeleteOptions{}), `ConfigMap "protected/kept"`, "remove the label")
	if found := must[*corev1.Namespace](t)(namespaces.Get(ctx, namespace, metav1.GetOptions{})); found.DeletionTimestamp != nil {
		t.Fatal("the namespace is being deleted though that was refused")
	}
	must[*corev1.ConfigMap](t)(configMaps.Get(ctx, "other", metav1.GetOptions{}))

	must[*corev1.ConfigMap](t)(configMaps.Patch(ctx, "kept", types.MergePatchType, []byte(unprotect), metav1.PatchOptions{}))
	must[*corev1.Namespace](t)(namespaces.Patch(ctx, namespace, types.MergePatchType, []byte(protect), metav1.PatchOptions{}))
	wantForbidden(t, "the namespace itself", namespaces.Delete(ctx, namespace, metav1.DeleteOptions{}))
	must[*corev1.Namespace](t)(namespaces.Patch(ctx, namespace, types.MergePatchType, []byte(unprotect), metav1.PatchOptions{}))
	if err := namespaces.Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		t.Errorf("to remove the label is the way out: %v", err)
	}
	testProtectedCustomResource(t, fleet)
}

func testProtectedCustomResource(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	ctx := t.Context()
	definitions := fleet.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "vaults.protection.example.com"},
		"spec": map[string]any{
			"group": "protection.example.com", "scope": "Cluster",
			"names": map[string]any{"kind": "Vault", "plural": "vaults", "singular": "vault"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
	must[*unstructured.Unstructured](t)(definitions.Create(ctx, definition, metav1.CreateOptions{}))
	vaults := fleet.Dynamic.Resource(schema.GroupVersionResource{Group: "protection.example.com", Version: "v1", Resource: "vaults"})
	vault := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "protection.example.com/v1", "kind": "Vault",
		"metadata": map[string]any{"name": "gold", "labels": map[string]any{wellknown.LabelDeletionProtected: wellknown.DeletionProtectedAlways}},
	}}
	eventually(t, "the kind is served", func(ctx context.Context) (bool, error) {
		_, err := vaults.Create(ctx, vault, metav1.CreateOptions{})
		return err == nil, err
	})
	wantForbidden(t, "a custom resource", vaults.Delete(ctx, "gold", metav1.DeleteOptions{}))
	wantForbidden(t, "the definition of its kind", definitions.Delete(ctx, definition.GetName(), metav1.DeleteOptions{}), `Vault "gold"`)
	must[*unstructured.Unstructured](t)(vaults.Patch(ctx, "gold", types.MergePatchType, []byte(unprotect), metav1.PatchOptions{}))
	if err := definitions.Delete(ctx, definition.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Errorf("to remove the label is the way out: %v", err)
	}
}
