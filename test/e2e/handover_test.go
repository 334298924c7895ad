// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// TestHandover brings a Deployment that runs in a member under the fleet and gives it
// back. Its Pods run on throughout, but for the rollout that the user asks for.
func TestHandover(t *testing.T) {
	t.Parallel()
	theirs := newTheirs(t)
	theirs.kubectl(t, "create", "deployment", "web", "--image=nginx:1", "--replicas=2")
	theirs.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	ours := &space{command: asAdmin(), namespace: theirs.namespace, kube: mustFleetKube(t)}
	pods := theirs.podsOf(t)

	ours.promote(t)
	theirs.samePods(t, pods, "it was promoted")
	if out := ours.fleetCommand(t, "diff", "deployment/web"); out.code != 0 || !strings.Contains(out.stdout, "as wanted") {
		t.Errorf("diff of what was promoted: exit status %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	if out := ours.fleetCommand(t, "promote", "deployment/web", "--cluster=member1"); out.code == 0 {
		t.Errorf("what is the fleet's cannot be promoted again, got\n%s", out.stdout)
	}

	// It is the fleet's as if it always had been.
	ours.kubectl(t, "set", "image", "deployment/web", "nginx=nginx:2")
	ours.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	eventually(t, propagation, "the rollout to end in the member", func(context.Context) error {
		out := theirs.tryKubectl(t, "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}")
		if images := strings.Fields(out.stdout); len(images) != 2 || images[0] != "nginx:2" || images[1] != images[0] {
			return fmt.Errorf("images are %q", out.stdout)
		}
		return nil
	})
	pods = theirs.podsOf(t)

	if out := ours.fleetCommand(t, "release", "deployment/web"); out.code != 0 || !strings.Contains(out.stdout, "stays in member1") {
		t.Fatalf("release: exit status %d\n%s%s", out.code, out.stdout, out.stderr)
	}
	ours.awaitReleased(t)
	theirs.samePods(t, pods, "it was released")

	// What was there before the fleet is not deleted with the template.
	ours.promote(t)
	ours.kubectl(t, "delete", "deployment", "web")
	ours.awaitReleased(t)
	theirs.samePods(t, pods, "the template was deleted")
}

// newTheirs makes a namespace in the first member that the fleet has nothing to do with
// yet.
func newTheirs(t *testing.T) *space {
	t.Helper()
	m := bed.members[0]
	s := makeSpace(t, restConfig(t, m.RESTConfig), m.Kubeconfig())
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if t.Failed() {
			s.dump(ctx, t)
		}
		err := mustFleetKube(t).CoreV1().Namespaces().Delete(ctx, s.namespace, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
		if err := s.remove(ctx); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return s
}

// podsOf are the uids of the Pods that are to stay.
func (s *space) podsOf(t *testing.T) map[string]string {
	t.Helper()
	pods, err := s.kube.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]string{}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil {
			uids[pod.Name] = string(pod.UID)
		}
	}
	return uids
}

func (s *space) samePods(t *testing.T, want map[string]string, after string) {
	t.Helper()
	if diff := cmp.Diff(want, s.podsOf(t)); diff != "" {
		t.Errorf("Pods after %s: -want +got:\n%s", after, diff)
	}
}

func (s *space) fleetCommand(t *testing.T, args ...string) outcome {
	t.Helper()
	return s.run(t, "fleet", append(args, "--namespace", s.namespace)...)
}

// promote brings the Deployment under the fleet and waits until that is so.
func (s *space) promote(t *testing.T) {
	t.Helper()
	if out := s.fleetCommand(t, "promote", "deployment/web", "--cluster=member1"); out.code != 0 {
		t.Fatalf("promote: exit status %d\n%s", out.code, out.stderr)
	}
	s.awaitApplied(t, "deployment/web")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
}

// awaitReleased waits until the fleet knows the Deployment no more, and the member has
// it without the fleet's mark.
func (s *space) awaitReleased(t *testing.T) {
	t.Helper()
	s.awaitForgotten(t, "deployment", "web")
	web, err := bed.members[0].memberClient.AppsV1().Deployments(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("the member's Deployment: %v", err)
	}
	if mark, marked := web.Labels[wellknown.LabelManagedBy]; marked || web.DeletionTimestamp != nil {
		t.Errorf("the member's Deployment has the mark %q, and is being deleted since %v", mark, web.DeletionTimestamp)
	}
	if _, err := s.kube.AppsV1().Deployments(s.namespace).Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the fleet has the Deployment still, %v", err)
	}
}

func mustFleetKube(t *testing.T) kubernetes.Interface {
	t.Helper()
	kube, err := fleetKube()
	if err != nil {
		t.Fatal(err)
	}
	return kube
}
