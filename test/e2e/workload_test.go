// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// TestDeployment walks a Deployment through its life with kubectl alone. The steps
// build on one another.
func TestDeployment(t *testing.T) {
	t.Parallel()
	s := newSpace(t)

	s.kubectl(t, "create", "deployment", "web", "--image=nginx", "--replicas=6")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	before := s.checkDivided(t, "web", 6)

	fields := strings.Fields(s.kubectl(t, "get", "deployment", "web", "--no-headers"))
	if diff := cmp.Diff([]string{"web", "6/6", "6", "6"}, fields[:min(4, len(fields))]); diff != "" {
		t.Errorf("get deployment prints name, ready, up to date, available: -want +got:\n%s", diff)
	}
	s.kubectl(t, "wait", "--for=condition=Available", "deployment/web", "--timeout=10s")

	s.kubectl(t, "scale", "deployment/web", "--replicas=9")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	after := s.checkDivided(t, "web", 9)
	for m, n := range before {
		if after[m] < n {
			t.Errorf("scaling up from 6 to 9 places the 3 new ones only: before %v, after %v", before, after)
		}
	}

	s.kubectl(t, "set", "image", "deployment/web", "nginx=nginx:1.29")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	s.checkImage(t, "app=web", "nginx:1.29", 9)

	s.checkBadPatch(t)

	s.kubectl(t, "delete", "deployment", "web", "--timeout=10s")
	s.checkGone(t, "web")
}

// checkDivided checks that a rolled-out Deployment runs on both members, as often
// as wanted, and returns the replicas by member.
func (s *space) checkDivided(t *testing.T, name string, want int) map[string]int32 {
	t.Helper()
	replicas, err := s.replicas(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if len(replicas) != len(bed.members) || int(total(replicas)) != want {
		t.Fatalf("replicas of %s: want %d over all members, got %v", name, want, replicas)
	}
	// Rollout status is about replicas ready, which they were, so no waiting here.
	if err := s.checkPods(t.Context(), "app="+name, want); err != nil {
		t.Fatal(err)
	}
	return replicas
}

// checkImage checks that all pods with a label, n of them, run an image.
func (s *space) checkImage(t *testing.T, selector, image string, n int) {
	t.Helper()
	eventually(t, propagation, "pods of the old image to go", func(ctx context.Context) error {
		pods, err := s.readyPods(ctx, selector)
		if err != nil {
			return err
		}
		seen := map[string]int{}
		for _, m := range sortedKeys(pods) {
			for _, pod := range pods[m] {
				seen[pod.Spec.Containers[0].Image]++
			}
		}
		if diff := cmp.Diff(map[string]int{image: n}, seen); diff != "" {
			return fmt.Errorf("pods by image, -want +got:\n%s", diff)
		}
		return nil
	})
}

// checkBadPatch checks that a bad value is refused in the words of a cluster, and
// changes nothing.
func (s *space) checkBadPatch(t *testing.T) {
	t.Helper()
	patch := []string{"patch", "deployment", "web", "--patch", `{"spec":{"replicas":-1}}`}
	got := s.tryKubectl(t, patch...)
	onMember := space{command: command{kubeconfig: bed.members[0].Kubeconfig()}, namespace: s.namespace}
	want := onMember.tryKubectl(t, patch...)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" || got.code == 0 {
		t.Errorf("patch with replicas -1 is refused in upstream's words: -member +fleet:\n%s", diff)
	}
	if replicas := s.kubectl(t, "get", "deployment", "web", "-o", "jsonpath={.spec.replicas}"); replicas != "9" {
		t.Errorf("replicas after a refused patch: want 9, got %s", replicas)
	}
}

// checkGone checks that a Deployment and its pods leave the members, and its
// binding and works the fleet.
func (s *space) checkGone(t *testing.T, name string) {
	t.Helper()
	eventually(t, propagation, "the deployment and its pods to leave the members", func(ctx context.Context) error {
		deployments, err := s.deployments(ctx, name)
		if err != nil || len(deployments) > 0 {
			return fmt.Errorf("members with the deployment: %v (%w)", sortedKeys(deployments), err)
		}
		for _, m := range bed.members {
			pods, err := m.memberClient.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
			if err != nil || len(pods.Items) > 0 {
				return fmt.Errorf("%s has %d pods (%w)", m.Name(), len(pods.Items), err)
			}
		}
		return nil
	})
	client := fleetAPI(t)
	binding := workv1alpha1.BindingName("Deployment", name)
	eventually(t, propagation, "the binding to go", func(ctx context.Context) error {
		_, err := client.WorkV1alpha1().ResourceBindings(s.namespace).Get(ctx, binding, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("binding %s is there (%w)", binding, err)
	})
	works, err := client.WorkV1alpha1().Works(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{
		LabelSelector: "fleet.dev/template-kind=Deployment,fleet.dev/template-namespace=" + s.namespace,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(works.Items) > 0 {
		t.Errorf("a binding that is gone has no works, got %d", len(works.Items))
	}
}

// TestRecreate deletes a Deployment and creates it again at once: the new one ends
// up running, made from the new template only.
func TestRecreate(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.kubectl(t, "create", "deployment", "web", "--image=nginx:old", "--replicas=4")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")

	s.kubectl(t, "delete", "deployment", "web")
	s.kubectl(t, "create", "deployment", "web", "--image=nginx:new", "--replicas=2")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")

	s.checkImage(t, "app=web", "nginx:new", 2)
	eventually(t, propagation, "the new deployment alone to be in the members", func(ctx context.Context) error {
		deployments, err := s.deployments(ctx, "web")
		if err != nil {
			return err
		}
		var sum int32
		for m, d := range deployments {
			if image := d.Spec.Template.Spec.Containers[0].Image; image != "nginx:new" {
				return fmt.Errorf("%s has image %s", m, image)
			}
			sum += *d.Spec.Replicas
		}
		if sum != 2 {
			return fmt.Errorf("%d replicas in total, want 2", sum)
		}
		return nil
	})
}

// TestNativeWaiters asks kubectl to wait for the other workloads.
func TestNativeWaiters(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	manifest := `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: agent}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: postgres}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: good}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: good, image: busybox, command: [sh, -c, "exit 0"]}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: bad}
spec:
  backoffLimit: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: bad, image: busybox, command: [sh, -c, "exit 1"]}]}
`
	if out := s.kubectlStdin(t, manifest, "apply", "-f", "-"); out.code != 0 {
		t.Fatalf("apply: %s", out.stderr)
	}
	s.kubectl(t, "rollout", "status", "daemonset/agent", "--timeout=60s")
	s.kubectl(t, "rollout", "status", "statefulset/db", "--timeout=60s")
	s.kubectl(t, "wait", "--for=condition=Complete", "job/good", "--timeout=60s")
	s.kubectl(t, "wait", "--for=condition=Failed", "job/bad", "--timeout=60s")

	// Every member has two nodes.
	if err := s.checkPods(t.Context(), "app=agent", 4); err != nil {
		t.Errorf("a DaemonSet runs on every node of every member: %v", err)
	}
	var homes []string
	for _, m := range bed.members {
		set, err := m.memberClient.AppsV1().StatefulSets(s.namespace).Get(t.Context(), "db", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		homes = append(homes, m.Name()+": "+statefulSetState(set))
	}
	if len(homes) != 1 || !strings.HasSuffix(homes[0], "3/3") {
		t.Errorf("a StatefulSet runs in one member as a whole, got %v", homes)
	}
	// Four of the DaemonSet, three of the StatefulSet, one of each Job.
	s.checkOwners(t, 9)
}

func statefulSetState(set *appsv1.StatefulSet) string {
	return fmt.Sprintf("%d/%d", set.Status.ReadyReplicas, *set.Spec.Replicas)
}
