// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/test/e2e/witness"
)

const (
	crashCreates = 200
	// crashAfter is how many creates are acknowledged when the server dies.
	crashAfter = 60
)

// TestCrashDuringCreates kills the whole fleet while 200 clients create a
// Deployment each. What was acknowledged must exist and run, once.
func TestCrashDuringCreates(t *testing.T) {
	s := newSpace(t)
	marks, err := auditMarks()
	if err != nil {
		t.Fatal(err)
	}

	acknowledged := s.createUntilCrash(t)
	t.Logf("%d of %d creates were acknowledged before the crash", len(acknowledged), crashCreates)
	if err := bed.fleet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	names := s.listDeployments(t)
	for _, name := range acknowledged {
		if !names[name] {
			t.Errorf("deployment %s was acknowledged, and is gone after the crash", name)
		}
	}
	eventually(t, 2*propagation, "every deployment to run", func(ctx context.Context) error { return s.checkAllReady(ctx, len(names)) })
	s.checkOnce(t, marks, names)
}

// auditMarks marks now in the audit logs of the members.
func auditMarks() (map[string]witness.Mark, error) {
	marks := map[string]witness.Mark{}
	for _, m := range bed.members {
		mark, err := m.audit.Mark()
		if err != nil {
			return nil, err
		}
		marks[m.Name()] = mark
	}
	return marks, nil
}

// createUntilCrash starts all creates at once, kills the server in the midst of
// them and returns the names of those the server acknowledged.
func (s *space) createUntilCrash(t *testing.T) []string {
	t.Helper()
	errs := make([]error, crashCreates)
	var done atomic.Int32
	enough := make(chan struct{})
	var group sync.WaitGroup
	for i := range crashCreates {
		group.Go(func() {
			errs[i] = createDeployment(t.Context(), s.kube, s.namespace, crashName(i))
			if errs[i] == nil && done.Add(1) == crashAfter {
				close(enough)
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		group.Wait()
		close(finished)
	}()
	select {
	case <-enough:
	case <-finished:
		t.Fatalf("only %d of %d creates succeeded without any crash: %v", done.Load(), crashCreates, errors.Join(errs...))
	}
	if err := bed.fleet.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-finished
	var acknowledged []string
	for i, err := range errs {
		if err == nil {
			acknowledged = append(acknowledged, crashName(i))
		}
	}
	if len(acknowledged) == crashCreates {
		t.Fatal("the server died too late: all creates were acknowledged")
	}
	return acknowledged
}

func crashName(i int) string { return fmt.Sprintf("web-%03d", i) }

// createDeployment creates a Deployment of one replica.
func createDeployment(ctx context.Context, kube kubernetes.Interface, namespace, name string) error {
	labels := map[string]string{"app": name}
	_, err := kube.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
			},
		},
	}, metav1.CreateOptions{})
	return err
}

func (s *space) listDeployments(t *testing.T) map[string]bool {
	t.Helper()
	list, err := s.kube.AppsV1().Deployments(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, d := range list.Items {
		names[d.Name] = true
	}
	return names
}

// checkAllReady checks that the fleet reports n Deployments, each with its one
// replica available.
func (s *space) checkAllReady(ctx context.Context, n int) error {
	list, err := s.kube.AppsV1().Deployments(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var waiting []string
	for _, d := range list.Items {
		if d.Status.AvailableReplicas != 1 || d.Status.ObservedGeneration != d.Generation {
			waiting = append(waiting, d.Name)
		}
	}
	if len(list.Items) != n || len(waiting) > 0 {
		return fmt.Errorf("%d deployments, want %d; not available: %v", len(list.Items), n, waiting)
	}
	return nil
}

// checkOnce checks that each Deployment is in exactly one member, with one pod, and
// was created there once.
func (s *space) checkOnce(t *testing.T, marks map[string]witness.Mark, names map[string]bool) {
	t.Helper()
	homes, created := map[string][]string{}, map[string]int{}
	pods := 0
	for _, m := range bed.members {
		deployments, err := m.memberClient.AppsV1().Deployments(s.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range deployments.Items {
			homes[d.Name] = append(homes[d.Name], m.Name())
		}
		list, err := m.memberClient.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pods += len(list.Items)
		writes, err := m.audit.Since(marks[m.Name()], func(w witness.Write) bool {
			return w.Namespace == s.namespace && w.Resource == "deployments" && w.Code == 201
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range writes {
			created[w.Name]++
		}
	}
	for name := range names {
		if len(homes[name]) != 1 || created[name] != 1 {
			t.Errorf("deployment %s of one replica: want it created once, in one member; created %d times, is in %v",
				name, created[name], homes[name])
		}
	}
	if len(homes) != len(names) || pods != len(names) {
		t.Errorf("the fleet has %d deployments of one replica; the members have %d deployments, %d pods", len(names), len(homes), pods)
	}
}
