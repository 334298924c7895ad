// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/integration/harness"
)

// testForeground deletes templates in the foreground. The test plays the member, and
// the scheduler.
func testForeground(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	join(t, fleet, "slow", nil)
	for name, test := range map[string]struct {
		reason string
		end    func(t *testing.T, namespace string, uid types.UID)
	}{
		"confirmed": {
			reason: "the template goes when its member has nothing of it any more",
			end: func(t *testing.T, namespace string, uid types.UID) {
				t.Helper()
				bindings := fleet.Fleet.WorkV1alpha1().ResourceBindings(namespace)
				leave(t, fleet, namespace)
				if _, err := fleet.Kube.CoreV1().ConfigMaps(namespace).Get(t.Context(), "settings", metav1.GetOptions{}); err != nil {
					t.Errorf("the member has not confirmed: %v", err)
				}
				confirm(t, fleet, namespace, "slow", uid)
				eventually(t, "the binding can go", func(ctx context.Context) (bool, error) {
					err := bindings.Delete(ctx, "settings-configmap", metav1.DeleteOptions{})
					return err == nil || apierrors.IsNotFound(err), err
				})
			},
		},
		"givenup": {
			reason: "who deletes again without waiting does not wait",
			end: func(t *testing.T, namespace string, _ types.UID) {
				t.Helper()
				deleteConfigMap(t, fleet, namespace, "settings", metav1.DeletePropagationBackground)
			},
		},
		"byhand": {
			reason: "who takes the finalizer off does not wait",
			end: func(t *testing.T, namespace string, _ types.UID) {
				t.Helper()
				_, err := fleet.Kube.CoreV1().ConfigMaps(namespace).Patch(t.Context(), "settings", types.MergePatchType,
					[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
				if err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := "foreground-" + name
			uid := place(t, fleet, namespace, "slow")
			deleteConfigMap(t, fleet, namespace, "settings", metav1.DeletePropagationForeground)
			eventually(t, "the garbage collector is held back", func(ctx context.Context) (bool, error) {
				binding, err := fleet.Fleet.WorkV1alpha1().ResourceBindings(namespace).Get(ctx, "settings-configmap", metav1.GetOptions{})
				return err == nil && binding.Annotations[wellknown.AnnotationForegroundTemplate] == string(uid), err
			})
			configMaps := fleet.Kube.CoreV1().ConfigMaps(namespace)
			must[*corev1.ConfigMap](t)(configMaps.Get(t.Context(), "settings", metav1.GetOptions{}))
			test.end(t, namespace, uid)
			ended := time.Now()
			eventually(t, test.reason, func(ctx context.Context) (bool, error) {
				_, err := configMaps.Get(ctx, "settings", metav1.GetOptions{})
				return apierrors.IsNotFound(err), nil
			})
			t.Logf("gone after %s", time.Since(ended))
		})
	}
}

// leave takes the template in a namespace out of its members, as the scheduler does.
func leave(t *testing.T, fleet *harness.APIServer, namespace string) {
	t.Helper()
	bindings := fleet.Fleet.WorkV1alpha1().ResourceBindings(namespace)
	eventually(t, "the binding is emptied", func(ctx context.Context) (bool, error) {
		binding, err := bindings.Get(ctx, "settings-configmap", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		binding.Spec.Clusters = nil
		written, err := bindings.Update(ctx, binding, metav1.UpdateOptions{})
		return err == nil && written.Annotations[wellknown.AnnotationForegroundTemplate] != "" && hasTombstone(written), err
	})
}

func hasTombstone(binding *workv1alpha1.ResourceBinding) bool {
	return len(binding.Spec.Tombstones) > 0
}
