// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package differences

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/test/testbed/suite"
)

const (
	// rolling is the namespace of the Deployment that is rolled out, replicas are its Pods.
	rolling  = "rollout"
	replicas = 6
	// settling bounds what takes seconds.
	settling = 2 * time.Minute
)

// testRollout looks into the members: a bad image gets to all of them, what is undone runs
// in all of them as before, and what is paused changes in none.
func (s *stage) testRollout(t *testing.T) {
	t.Helper()
	s.onFleet(t, "kubectl create namespace "+rolling+" && kubectl config set-context --current --namespace="+rolling)
	s.onFleet(t, fmt.Sprintf("kubectl create deployment web --image=nginx:1 --replicas=%d", replicas))
	s.awaitRollout(t)
	s.checkRunning(t, "nginx:1")

	s.onFleet(t, "kubectl set image deployment/web nginx=nginx:nonexistent")
	suite.Eventually(t, settling, "every member to try the bad image", func(ctx context.Context) error {
		return s.inEach(ctx, func(pods map[string]int) error {
			if pods["nginx:nonexistent"] == 0 {
				return fmt.Errorf("want some of the bad image, got %v", pods)
			}
			return nil
		})
	})
	s.onFleet(t, "kubectl rollout undo deployment/web")
	s.awaitRollout(t)
	s.checkRunning(t, "nginx:1")

	s.onFleet(t, "kubectl rollout pause deployment/web && kubectl set image deployment/web nginx=nginx:2")
	suite.Eventually(t, settling, "every member to hear of the change, and that it is paused", func(ctx context.Context) error {
		return s.eachIsPaused(ctx)
	})
	s.checkRunning(t, "nginx:1")
	s.onFleet(t, "kubectl rollout resume deployment/web")
	s.awaitRollout(t)
	s.checkRunning(t, "nginx:2")
	s.onFleet(t, "kubectl delete namespace "+rolling+" --timeout=100s")
}

// onFleet runs a line that has to succeed.
func (s *stage) onFleet(t *testing.T, line string) {
	t.Helper()
	if out, err := s.sides[fleet].run(t.Context(), line); err != nil || out.code != 0 {
		t.Fatalf("%s: %v\n%s", line, err, out.text())
	}
}

// awaitRollout waits until kubectl says that the rollout is over.
func (s *stage) awaitRollout(t *testing.T) {
	t.Helper()
	suite.Eventually(t, settling, "the rollout to end", func(ctx context.Context) error {
		out, err := s.sides[fleet].run(ctx, "kubectl rollout status deployment/web --timeout=20s")
		if err == nil && out.code != 0 {
			err = fmt.Errorf("%s", out.text())
		}
		return err
	})
}

// checkRunning waits until all Pods in members run an image, and every member has some.
func (s *stage) checkRunning(t *testing.T, image string) {
	t.Helper()
	suite.Eventually(t, settling, "all members to run "+image, func(ctx context.Context) error {
		running := 0
		err := s.inEach(ctx, func(pods map[string]int) error {
			if running += pods[image]; len(pods) != 1 || pods[image] == 0 {
				return fmt.Errorf("want %s only, got %v", image, pods)
			}
			return nil
		})
		if err == nil && running != replicas {
			err = fmt.Errorf("want %d pods in all members, got %d", replicas, running)
		}
		return err
	})
}

// inEach checks the Pods of each member, counted by image.
func (s *stage) inEach(ctx context.Context, check func(pods map[string]int) error) error {
	return s.eachMember(func(memberClient kubernetes.Interface) error {
		pods, err := memberClient.CoreV1().Pods(rolling).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		count := map[string]int{}
		for i := range pods.Items {
			if pods.Items[i].Status.Phase != corev1.PodFailed {
				count[pods.Items[i].Spec.Containers[0].Image]++
			}
		}
		return check(count)
	})
}

// eachIsPaused checks that the Deployment in each member is the paused one, and that its
// controller has seen it.
func (s *stage) eachIsPaused(ctx context.Context) error {
	return s.eachMember(func(memberClient kubernetes.Interface) error {
		web, err := memberClient.AppsV1().Deployments(rolling).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if image := web.Spec.Template.Spec.Containers[0].Image; !web.Spec.Paused || image != "nginx:2" || web.Status.ObservedGeneration < web.Generation {
			return fmt.Errorf("want nginx:2, paused, got %s, paused %t, generation %d, observed %d", image, web.Spec.Paused, web.Generation, web.Status.ObservedGeneration)
		}
		return nil
	})
}

func (s *stage) eachMember(check func(memberClient kubernetes.Interface) error) error {
	for _, m := range s.joined {
		config, err := m.RESTConfig()
		if err != nil {
			return err
		}
		memberClient, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		if err := check(memberClient); err != nil {
			return fmt.Errorf("%s: %w", m.Name(), err)
		}
	}
	return nil
}
