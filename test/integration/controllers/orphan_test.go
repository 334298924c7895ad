// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/integration/harness"
)

// testOrphan deletes a template so that members keep its objects, while no
// scheduler runs. Whatever then empties the binding releases them.
func testOrphan(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	namespace := newNamespace(t, fleet, "orphans")
	for name, test := range map[string]struct {
		reason string
		delete func(t *testing.T, name string)
		orphan bool
	}{
		"orphan": {
			reason: "kubectl delete --cascade=orphan leaves what runs in members",
			delete: func(t *testing.T, name string) {
				t.Helper()
				deleteConfigMap(t, fleet, namespace, name, metav1.DeletePropagationOrphan)
			},
			orphan: true,
		},
		"held": {
			reason: "the wish outlives the finalizer that said it, while another one holds the template",
			delete: func(t *testing.T, name string) {
				t.Helper()
				configMaps := fleet.Kube.CoreV1().ConfigMaps(namespace)
				held := must[*corev1.ConfigMap](t)(configMaps.Get(t.Context(), name, metav1.GetOptions{}))
				held.Finalizers = []string{"example.com/hold"}
				must[*corev1.ConfigMap](t)(configMaps.Update(t.Context(), held, metav1.UpdateOptions{}))
				deleteConfigMap(t, fleet, namespace, name, metav1.DeletePropagationOrphan)
				eventually(t, "the garbage collector lets go", func(ctx context.Context) (bool, error) {
					held, err := configMaps.Get(ctx, name, metav1.GetOptions{})
					if err != nil || len(held.Finalizers) != 1 {
						return false, err
					}
					held.Finalizers = nil
					_, err = configMaps.Update(ctx, held, metav1.UpdateOptions{})
					return err == nil, err
				})
			},
			orphan: true,
		},
		"background": {
			reason: "a plain deletion deletes in members",
			delete: func(t *testing.T, name string) {
				t.Helper()
				deleteConfigMap(t, fleet, namespace, name, metav1.DeletePropagationBackground)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			configMaps, bindings := fleet.Kube.CoreV1().ConfigMaps(namespace), fleet.Fleet.WorkV1alpha1().ResourceBindings(namespace)
			template := must[*corev1.ConfigMap](t)(configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
			made := &workv1alpha1.ResourceBinding{
				ObjectMeta: metav1.ObjectMeta{Name: workv1alpha1.BindingName("ConfigMap", name)},
				Spec: workv1alpha1.BindingSpec{
					Resource: workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: namespace, Name: name, UID: template.UID},
					Clusters: []workv1alpha1.TargetCluster{{Name: "m1"}},
				},
			}
			must[*workv1alpha1.ResourceBinding](t)(bindings.Create(t.Context(), made, metav1.CreateOptions{}))
			test.delete(t, name)
			eventually(t, "the template goes", func(ctx context.Context) (bool, error) {
				_, err := configMaps.Get(ctx, name, metav1.GetOptions{})
				return apierrors.IsNotFound(err), nil
			})

			// What the scheduler does when it is back.
			binding := must[*workv1alpha1.ResourceBinding](t)(bindings.Get(t.Context(), made.Name, metav1.GetOptions{}))
			binding.Spec.Clusters = nil
			binding = must[*workv1alpha1.ResourceBinding](t)(bindings.Update(t.Context(), binding, metav1.UpdateOptions{}))
			want := []workv1alpha1.Tombstone{{ClusterName: "m1", UID: template.UID, Orphan: test.orphan}}
			if diff := cmp.Diff(want, binding.Spec.Tombstones, cmpopts.IgnoreFields(workv1alpha1.Tombstone{}, "Generation")); diff != "" {
				t.Errorf("%s: tombstones, -want +got:\n%s", test.reason, diff)
			}
		})
	}
}

func deleteConfigMap(t *testing.T, fleet *harness.APIServer, namespace, name string, propagation metav1.DeletionPropagation) {
	t.Helper()
	if err := fleet.Kube.CoreV1().ConfigMaps(namespace).Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &propagation}); err != nil {
		t.Fatal(err)
	}
}
