// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	appsv1alpha1 "fleet.dev/fleet/pkg/apis/apps/v1alpha1"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/cluster"
	"fleet.dev/fleet/pkg/controllers/rebalance"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// TestBelongsTravels sends a Deployment to one member, and with it what belongs to
// it, over several ties, from watches of the API server to works.
func TestBelongsTravels(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	policy := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	policy.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}}
	policy.Spec.Placement.ClusterAffinity = &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"berlin"}}
	policy.Spec.PropagateDeps = true
	if _, err := fleet.Fleet.PolicyV1alpha1().PropagationPolicies(metav1.NamespaceDefault).Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tls"}, Type: corev1.SecretTypeOpaque}
	if _, err := fleet.Kube.CoreV1().Secrets(metav1.NamespaceDefault).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "www"}}
	ingress.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "tls"}}
	ingress.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80},
	}}
	if _, err := fleet.Kube.NetworkingV1().Ingresses(metav1.NamespaceDefault).Create(t.Context(), ingress, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	service.Spec = corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}}
	if _, err := fleet.Kube.CoreV1().Services(metav1.NamespaceDefault).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault).Create(t.Context(), deployment("web", 2), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	belongings := []string{
		workv1alpha1.BindingName("Service", "web"), workv1alpha1.BindingName("Ingress", "www"), workv1alpha1.BindingName("Secret", "tls"),
	}
	for _, binding := range belongings {
		eventually(t, binding+" goes along", func(ctx context.Context) error {
			_, err := fleet.Fleet.WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace("berlin")).
				Get(ctx, workv1alpha1.WorkName(metav1.NamespaceDefault, binding), metav1.GetOptions{})
			return err
		})
	}
	if err := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, binding := range belongings {
		eventually(t, binding+" leaves with it", func(ctx context.Context) error {
			got, err := fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Get(ctx, binding, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if len(got.Spec.RequiredBy) > 0 || len(got.Spec.Tombstones) == 0 {
				return fmt.Errorf("want a tombstone and nobody who needs it, got %+v", got.Spec)
			}
			return nil
		})
	}
}

// TestRebalance asks for a decision as a user does, with the controller's own rights.
func TestRebalance(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	client, err := fleetclient.NewForConfig(fleet.ConfigFor(t, "controller-manager"))
	if err != nil {
		t.Fatal(err)
	}
	informers := fleetinformers.NewSharedInformerFactoryWithOptions(client, 0, fleetinformers.WithTransform(cluster.Trim))
	controller, err := rebalance.New(rebalance.Dependencies{FleetClient: client, FleetInformers: informers, Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	informers.StartWithContext(ctx)
	go func() { defer close(done); controller.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done; informers.Shutdown() })

	if _, err := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault).Create(t.Context(), deployment("web", 4), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bindings := fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault)
	eventually(t, "the Deployment is placed", func(ctx context.Context) error {
		_, err := bindings.Get(ctx, workv1alpha1.BindingName("Deployment", "web"), metav1.GetOptions{})
		return err
	})
	named := func(name string) appsv1alpha1.ObjectReference {
		return appsv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: metav1.NamespaceDefault, Name: name}
	}
	rebalancers := fleet.Fleet.AppsV1alpha1().WorkloadRebalancers()
	made, err := rebalancers.Create(t.Context(), &appsv1alpha1.WorkloadRebalancer{
		ObjectMeta: metav1.ObjectMeta{Name: "monday"},
		Spec:       appsv1alpha1.WorkloadRebalancerSpec{Workloads: []appsv1alpha1.ObjectReference{named("web"), named("none")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []appsv1alpha1.ObservedWorkload{
		{Workload: named("web"), Result: appsv1alpha1.RebalanceSuccessful},
		{Workload: named("none"), Result: appsv1alpha1.RebalanceFailed, Reason: appsv1alpha1.RebalanceBindingNotFound},
	}
	eventually(t, "both have a result", func(ctx context.Context) error {
		if made, err = rebalancers.Get(ctx, "monday", metav1.GetOptions{}); err != nil {
			return err
		}
		if diff := cmp.Diff(want, made.Status.ObservedWorkloads); diff != "" || made.Status.FinishTime == nil {
			return fmt.Errorf("finished %v, -want, +got:\n%s", made.Status.FinishTime, diff)
		}
		return nil
	})
	made.Spec.TTLSecondsAfterFinished = new(int32(0))
	if _, err := rebalancers.Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is deleted when its time is over", func(ctx context.Context) error {
		_, err := rebalancers.Get(ctx, "monday", metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		default:
			return errors.New("it is there still")
		}
	})
}
