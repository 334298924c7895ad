// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletion

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// againCount is how many names are used again and again, for how long.
	againCount = 50
	againFor   = time.Minute
	// roundVariable tells in the Pod template in which round it was made.
	roundVariable = "ROUND"
)

// TestSameNamesAgain deletes and creates the same 50 Deployments in a tight loop for a
// minute. Members end with exactly the last of each.
func TestSameNamesAgain(t *testing.T) {
	const namespace = "again"
	newNamespace(t, namespace)
	last := make([]*appsv1.Deployment, againCount)
	rounds := 0
	group, ctx := errgroup.WithContext(t.Context())
	end := time.Now().Add(againFor)
	counts := make([]int, againCount)
	for i, name := range numbered(againCount) {
		group.Go(func() error {
			for time.Now().Before(end) {
				made, err := replace(ctx, namespace, name, counts[i])
				if err != nil {
					return err
				}
				last[i] = made
				counts[i]++
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, n := range counts {
		rounds += n
	}
	t.Logf("%d deployments were made of %d names in %s", rounds, againCount, againFor)
	t.Logf("members have exactly the last %s later", eventually(t, "exactly the last to be in the members", func(ctx context.Context) error {
		for _, m := range bed.members {
			if err := checkLast(ctx, m, namespace, last); err != nil {
				return fmt.Errorf("%s: %w", m.Name(), err)
			}
		}
		return checkNoTombstones(ctx, namespace)
	}))
	awaitRunning(t, namespace, againCount)
}

// replace deletes the Deployment of that name and creates it anew.
func replace(ctx context.Context, namespace, name string, round int) (*appsv1.Deployment, error) {
	deployments := bed.kube.AppsV1().Deployments(namespace)
	background := metav1.DeletePropagationBackground
	if err := deployments.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	next := deployment(name)
	next.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: roundVariable, Value: strconv.Itoa(round)}}
	return deployments.Create(ctx, next, metav1.CreateOptions{})
}

// checkLast checks that a member has these Deployments and no others, with one Pod of
// the last round each.
func checkLast(ctx context.Context, m *member, namespace string, last []*appsv1.Deployment) error {
	if err := checkDeployments(ctx, m.clients, namespace, len(last)); err != nil {
		return err
	}
	pods, err := m.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(pods.Items) != len(last) {
		return fmt.Errorf("%d pods, want %d", len(pods.Items), len(last))
	}
	rounds := map[string]string{}
	for i := range pods.Items {
		rounds[pods.Items[i].Labels["app"]] = round(&pods.Items[i].Spec)
	}
	for _, want := range last {
		got, err := m.kube.AppsV1().Deployments(namespace).Get(ctx, want.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if uid := got.Annotations[wellknown.AnnotationTemplateUID]; uid != string(want.UID) {
			return fmt.Errorf("deployment %s is of template %s, want %s", want.Name, uid, want.UID)
		}
		if expected := round(&want.Spec.Template.Spec); rounds[want.Name] != expected || round(&got.Spec.Template.Spec) != expected {
			return fmt.Errorf("deployment %s is of round %s, its pod of %s, want %s", want.Name, round(&got.Spec.Template.Spec), rounds[want.Name], expected)
		}
	}
	return nil
}

func round(spec *corev1.PodSpec) string {
	for _, env := range spec.Containers[0].Env {
		if env.Name == roundVariable {
			return env.Value
		}
	}
	return ""
}

// checkNoTombstones checks that nothing in the namespace waits for a member to let go.
func checkNoTombstones(ctx context.Context, namespace string) error {
	bindings, err := bed.clients.fleet.WorkV1alpha1().ResourceBindings(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range bindings.Items {
		if waiting := bindings.Items[i].Spec.Tombstones; len(waiting) > 0 {
			return fmt.Errorf("binding %s has tombstones %v", bindings.Items[i].Name, waiting)
		}
	}
	return nil
}
