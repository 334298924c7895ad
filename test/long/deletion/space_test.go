// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletion

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/testbed/suite"
)

const (
	// patience is how long something may take before a test gives up.
	patience = 5 * time.Minute
	// together is how many requests a test makes at a time.
	together = 20
)

// newNamespace makes a namespace whose workloads go to both members, all of them.
// When the test ends it is deleted, and has to go everywhere.
func newNamespace(t *testing.T, name string) {
	t.Helper()
	makeNamespace(t, name)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := bed.kube.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
		if err := suite.Await(ctx, patience, func(ctx context.Context) error { return checkNoNamespace(ctx, name) }); err != nil {
			t.Errorf("wait for namespace %s to go: %v", name, err)
		}
	})
}

func makeNamespace(t *testing.T, name string) {
	t.Helper()
	_, err := bed.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Annotations: map[string]string{wellknown.AnnotationPlacement: wellknown.PlacementDuplicated},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func checkNoNamespace(ctx context.Context, name string) error {
	for place, c := range places() {
		if _, err := c.kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("namespace %s in %s: %w", name, place, err)
		}
	}
	return nil
}

// places are all API servers, by name.
func places() map[string]clients {
	out := map[string]clients{"the fleet": bed.clients}
	for _, m := range bed.members {
		out[m.Name()] = m.clients
	}
	return out
}

// deployment is one of one replica.
func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
			},
		},
	}
}

// createDeployments creates so many in a namespace.
func createDeployments(t *testing.T, namespace string, names []string) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(together)
	for _, name := range names {
		group.Go(func() error {
			_, err := bed.kube.AppsV1().Deployments(namespace).Create(ctx, deployment(name), metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// numbered are names web-000, web-001, ...
func numbered(count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = fmt.Sprintf("web-%03d", i)
	}
	return out
}

// checkDeployments checks how many there are in a namespace of an API server.
func checkDeployments(ctx context.Context, c clients, namespace string, want int) error {
	list, err := c.kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err == nil && len(list.Items) != want {
		err = fmt.Errorf("%d deployments, want %d", len(list.Items), want)
	}
	return err
}

// awaitRunning waits until every member runs so many Deployments, with one Pod each,
// and the fleet knows it.
func awaitRunning(t *testing.T, namespace string, count int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d deployments to run in each member", count), func(ctx context.Context) error {
		for _, m := range bed.members {
			if err := checkDeployments(ctx, m.clients, namespace, count); err != nil {
				return fmt.Errorf("%s: %w", m.Name(), err)
			}
			if pods, err := runningPods(ctx, m, namespace); err != nil || len(pods) != count {
				return fmt.Errorf("%s runs %d pods, want %d: %w", m.Name(), len(pods), count, err)
			}
		}
		list, err := bed.kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if d := &list.Items[i]; d.Status.AvailableReplicas != 1 || d.Status.ObservedGeneration != d.Generation {
				return fmt.Errorf("the fleet has deployment %s not available", d.Name)
			}
		}
		return checkDeployments(ctx, bed.clients, namespace, count)
	})
}

// runningPods are the restarts of the Pods that run in a member, by uid.
func runningPods(ctx context.Context, m *member, namespace string) (map[types.UID]int32, error) {
	pods, err := m.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := map[types.UID]int32{}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		out[pod.UID] = 0
		for _, container := range pod.Status.ContainerStatuses {
			out[pod.UID] += container.RestartCount
		}
	}
	return out, nil
}

// eventually fails the test unless check succeeds in time, and returns how long that
// took.
func eventually(t *testing.T, what string, check func(context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	if err := suite.Await(t.Context(), patience, check); err != nil {
		t.Fatalf("wait for %s: %v", what, err)
	}
	return time.Since(began).Round(10 * time.Millisecond)
}
