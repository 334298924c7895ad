// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/integration/harness"
)

// exceptGeneration compares tombstones but for the generation that made them.
var exceptGeneration = cmpopts.IgnoreFields(workv1alpha1.Tombstone{}, "Generation")

// TestUnjoin deletes Clusters whose member is played by the test.
func TestUnjoin(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	for name, tc := range map[string]struct {
		reason      string
		cluster     string
		annotations map[string]string
		orphan      bool
	}{
		"Delete": {"what the fleet put on the member is deleted", "left", nil, false},
		"Keep":   {"what the fleet put on the member is released", "kept", map[string]string{wellknown.AnnotationUnjoinKeepObjects: "true"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			join(t, fleet, tc.cluster, tc.annotations)
			uid := place(t, fleet, "in-"+tc.cluster, tc.cluster)
			if err := fleet.Fleet.ClusterV1alpha1().Clusters().Delete(t.Context(), tc.cluster, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			want := []workv1alpha1.Tombstone{{ClusterName: tc.cluster, UID: uid, Orphan: tc.orphan}}
			eventually(t, tc.reason, func(ctx context.Context) (bool, error) {
				spec, err := specOf(ctx, fleet, "in-"+tc.cluster)
				return err == nil && len(spec.Clusters) == 0 && cmp.Equal(want, spec.Tombstones, exceptGeneration), err
			})
			eventually(t, "the Cluster says what it waits for", func(ctx context.Context) (bool, error) {
				cluster, err := fleet.Fleet.ClusterV1alpha1().Clusters().Get(ctx, tc.cluster, metav1.GetOptions{})
				if err != nil {
					return false, err
				}
				condition := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionUnjoining)
				return condition != nil && condition.Reason == clusterv1alpha1.ClusterReasonReleasingObjects, nil
			})
			if _, err := fleet.Kube.CoreV1().Namespaces().Get(t.Context(), clusterv1alpha1.MemberNamespace(tc.cluster), metav1.GetOptions{}); err != nil {
				t.Errorf("the member's namespace stays while works are served there: %v", err)
			}

			confirm(t, fleet, "in-"+tc.cluster, tc.cluster, uid)
			eventually(t, "the Cluster goes when the member has confirmed", func(ctx context.Context) (bool, error) {
				_, err := fleet.Fleet.ClusterV1alpha1().Clusters().Get(ctx, tc.cluster, metav1.GetOptions{})
				return apierrors.IsNotFound(err), nil
			})
			if _, err := fleet.Kube.CoreV1().Namespaces().Get(t.Context(), clusterv1alpha1.MemberNamespace(tc.cluster), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the member's namespace goes before the Cluster: want not found, got %v", err)
			}
		})
	}
}

// TestForcedUnjoin deletes a Cluster whose member is dead, and changes one's mind
// about waiting for it.
func TestForcedUnjoin(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	join(t, fleet, "dead", nil)
	join(t, fleet, "alive", nil)
	uid := place(t, fleet, "in-dead", "dead", "alive")
	clusters := fleet.Fleet.ClusterV1alpha1().Clusters()
	if err := clusters.Delete(t.Context(), "dead", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what the fleet put on the member is to be deleted", func(ctx context.Context) (bool, error) {
		spec, err := specOf(ctx, fleet, "in-dead")
		return err == nil && cmp.Equal([]workv1alpha1.Tombstone{{ClusterName: "dead", UID: uid}}, spec.Tombstones, exceptGeneration), err
	})
	force := []byte(`{"metadata":{"annotations":{"` + wellknown.AnnotationUnjoinForce + `":"true"}}}`)
	must[*clusterv1alpha1.Cluster](t)(clusters.Patch(t.Context(), "dead", types.MergePatchType, force, metav1.PatchOptions{}))
	eventually(t, "the Cluster goes without a word of the member", func(ctx context.Context) (bool, error) {
		_, err := clusters.Get(ctx, "dead", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	spec := must[*workv1alpha1.BindingSpec](t)(specOf(t.Context(), fleet, "in-dead"))
	want := []workv1alpha1.TargetCluster{{Name: "alive"}}
	if diff := cmp.Diff(want, spec.Clusters); diff != "" || len(spec.Tombstones) > 0 {
		t.Errorf("nothing of the member stays, everything of others does: tombstones %v, clusters -want +got:\n%s", spec.Tombstones, diff)
	}
	eventually(t, "an Event says what may be left", func(ctx context.Context) (bool, error) {
		events, err := fleet.Kube.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=dead,reason=ObjectsMayRemain"})
		return err == nil && len(events.Items) == 1, err
	})
	// The finalizer is the controller's; one who takes it off leaves tombstones
	// that nobody confirms.
	if err := clusters.Delete(t.Context(), "alive", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other member is to delete its object", func(ctx context.Context) (bool, error) {
		spec, err := specOf(ctx, fleet, "in-dead")
		return err == nil && len(spec.Tombstones) == 1, err
	})
	unfinalize := []byte(`{"metadata":{"finalizers":null}}`)
	must[*clusterv1alpha1.Cluster](t)(clusters.Patch(t.Context(), "alive", types.MergePatchType, unfinalize, metav1.PatchOptions{}))
	eventually(t, "tombstones of a Cluster that does not exist go", func(ctx context.Context) (bool, error) {
		_, err := clusters.Get(ctx, "alive", metav1.GetOptions{})
		spec, specErr := specOf(ctx, fleet, "in-dead")
		return apierrors.IsNotFound(err) && specErr == nil && len(spec.Tombstones) == 0, nil
	})
}

// TestSyncerAccess gives the syncer the credentials of one member, and no other
// Secret of the fleet.
func TestSyncerAccess(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	join(t, fleet, "one", nil)
	syncer := kubernetes.NewForConfigOrDie(fleet.ConfigFor(t, "syncer"))
	for _, namespace := range []string{"fleet-cluster-one", metav1.NamespaceDefault} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
		must[*corev1.Secret](t)(fleet.Kube.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}))
	}
	eventually(t, "the syncer reads the credentials of the member", func(ctx context.Context) (bool, error) {
		_, err := syncer.CoreV1().Secrets("fleet-cluster-one").Get(ctx, "one", metav1.GetOptions{})
		return true, err
	})
	if _, err := syncer.CoreV1().Secrets(metav1.NamespaceDefault).Get(t.Context(), "one", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the syncer reads a Secret that is no member's: want 403, got %v", err)
	}
	if _, err := syncer.CoreV1().Secrets("fleet-cluster-one").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the syncer lists Secrets: want 403, got %v", err)
	}
}

// TestNamespaceWaitsForMembers deletes a namespace with a template that a member
// runs: the namespace stays until the member has confirmed, and says why.
func TestNamespaceWaitsForMembers(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	join(t, fleet, "slow", nil)
	newNamespace(t, fleet, "in-slow")
	uid := place(t, fleet, "in-slow", "slow")
	if err := fleet.Kube.CoreV1().Namespaces().Delete(t.Context(), "in-slow", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace says what it waits for", func(ctx context.Context) (bool, error) {
		namespace, err := fleet.Kube.CoreV1().Namespaces().Get(ctx, "in-slow", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range namespace.Status.Conditions {
			if condition.Type == corev1.NamespaceDeletionContentFailure && condition.Status == corev1.ConditionTrue {
				return strings.Contains(condition.Message, "settings-configmap"), nil
			}
		}
		return false, nil
	})

	// The scheduler, which is not here, takes the binding of a deleted template back.
	bindings := fleet.Fleet.WorkV1alpha1().ResourceBindings("in-slow")
	binding := must[*workv1alpha1.ResourceBinding](t)(bindings.Get(t.Context(), "settings-configmap", metav1.GetOptions{}))
	binding.Spec.Clusters = nil
	must[*workv1alpha1.ResourceBinding](t)(bindings.Update(t.Context(), binding, metav1.UpdateOptions{}))
	confirm(t, fleet, "in-slow", "slow", uid)
	eventually(t, "the namespace goes when the member has confirmed", func(ctx context.Context) (bool, error) {
		_, err := fleet.Kube.CoreV1().Namespaces().Get(ctx, "in-slow", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// join makes a Cluster and waits until the controller has taken it up.
func join(t *testing.T, fleet *harness.APIServer, name string, annotations map[string]string) {
	t.Helper()
	cluster := &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push, ID: "id-" + name, APIEndpoint: "https://" + name + ":6443"},
	}
	must[*clusterv1alpha1.Cluster](t)(fleet.Fleet.ClusterV1alpha1().Clusters().Create(t.Context(), cluster, metav1.CreateOptions{}))
	eventually(t, "a member gets a namespace", func(ctx context.Context) (bool, error) {
		_, err := fleet.Kube.CoreV1().Namespaces().Get(ctx, clusterv1alpha1.MemberNamespace(name), metav1.GetOptions{})
		return true, err
	})
	eventually(t, "a member that never reported takes nothing, and its deletion is held back", func(ctx context.Context) (bool, error) {
		cluster, err := fleet.Fleet.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		taints := []corev1.Taint{{Key: wellknown.TaintClusterNotReady, Effect: corev1.TaintEffectNoSchedule}}
		return cmp.Equal(taints, cluster.Spec.Taints) && cmp.Equal([]string{wellknown.FinalizerUnjoin}, cluster.Finalizers), nil
	})
}

// place makes ConfigMap settings in the namespace and a binding that puts it on
// the members, as the scheduler would. It returns the uid of the ConfigMap.
func place(t *testing.T, fleet *harness.APIServer, namespace string, members ...string) types.UID {
	t.Helper()
	if _, err := fleet.Kube.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		newNamespace(t, fleet, namespace)
	}
	template := must[*corev1.ConfigMap](t)(fleet.Kube.CoreV1().ConfigMaps(namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{}))
	binding := &workv1alpha1.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{Name: workv1alpha1.BindingName("ConfigMap", "settings")},
		Spec: workv1alpha1.BindingSpec{
			Resource: workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: namespace, Name: "settings", UID: template.UID},
		},
	}
	for _, member := range members {
		binding.Spec.Clusters = append(binding.Spec.Clusters, workv1alpha1.TargetCluster{Name: member})
	}
	must[*workv1alpha1.ResourceBinding](t)(fleet.Fleet.WorkV1alpha1().ResourceBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}))
	return template.UID
}

func specOf(ctx context.Context, fleet *harness.APIServer, namespace string) (*workv1alpha1.BindingSpec, error) {
	binding, err := fleet.Fleet.WorkV1alpha1().ResourceBindings(namespace).Get(ctx, "settings-configmap", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return &binding.Spec, nil
}

// confirm says, as the member's syncer would, that the object is gone or released.
func confirm(t *testing.T, fleet *harness.APIServer, namespace, member string, uid types.UID) {
	t.Helper()
	binding := must[*workv1alpha1.ResourceBinding](t)(fleet.Fleet.WorkV1alpha1().ResourceBindings(namespace).Get(t.Context(), "settings-configmap", metav1.GetOptions{}))
	feedback := &workv1alpha1.WorkFeedback{
		ObjectMeta: metav1.ObjectMeta{Name: "confirm"},
		Spec: workv1alpha1.WorkFeedbackSpec{Items: []workv1alpha1.FeedbackItem{{
			Name: workv1alpha1.WorkName(namespace, "settings-configmap"), TemplateUID: uid, BindingGeneration: binding.Generation, Deleted: true,
		}}},
	}
	eventually(t, "the fleet takes the confirmation", func(ctx context.Context) (bool, error) {
		answer, err := fleet.Fleet.WorkV1alpha1().WorkFeedbacks(clusterv1alpha1.MemberNamespace(member)).Create(ctx, feedback, metav1.CreateOptions{})
		return err == nil && len(answer.Status.Results) == 1 && answer.Status.Results[0].Accepted, err
	})
}
