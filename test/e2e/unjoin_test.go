// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/testbed"
)

// TestUnjoin has a member of each mode leave three times: first its objects stay,
// and are taken back without a restart when it joins again; then they go; at last it
// is dead.
func TestUnjoin(t *testing.T) {
	cases := map[string]testbed.MemberConfig{
		"Push": {Name: "member3", Nodes: 1},
		"Pull": {Name: "member4", Nodes: 1, DialsOut: true},
	}
	for name, config := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // to one another; what comes after TestUnjoin waits for both
			s := newSpace(t)
			m, err := bed.startMember(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := m.Kill(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}()
			t.Cleanup(func() {
				if t.Failed() { // do not leave a dead member behind for the tests that follow
					t.Log(asAdmin().run(t, "fleet", "unjoin", m.Name(), "--force"))
				}
			})
			s.pin(t, "everywhere", "member1", "member2", m.Name())
			pods := s.leaveAndReturn(t, m)
			s.leaveForGood(t, m, pods)
			s.leaveDead(t, m)
		})
	}
}

// leaveAndReturn takes a member out, keeping its objects, and in again, and returns
// the Pods that run through all of it.
func (s *space) leaveAndReturn(t *testing.T, m *member) map[types.UID]bool {
	t.Helper()
	s.joinAndAwait(t, m)
	s.createAgent(t)
	pods := s.agentPods(t, m)

	must(t, asAdmin(), "fleet", "unjoin", m.Name(), "--keep-objects")
	s.awaitUnjoined(t, m)
	s.checkNothingLeft(t, m)
	if diff := cmp.Diff(pods, s.agentPods(t, m)); diff != "" {
		t.Errorf("pods after unjoin --keep-objects: -before +after:\n%s", diff)
	}

	s.joinAndAwait(t, m)
	// What differs from the template on return is not taken back without being asked.
	eventually(t, propagation, "the member's object to be taken back", func(ctx context.Context) error {
		d, err := m.memberClient.AppsV1().DaemonSets(s.namespace).Get(ctx, "agent", metav1.GetOptions{})
		if err == nil && d.Labels[wellknown.LabelManagedBy] == "" {
			err = fmt.Errorf("labels are %v", d.Labels)
		}
		return err
	})
	s.kubectl(t, "patch", "daemonset", "agent", "-p", `{"metadata":{"labels":{"example.com/seen":"again"}}}`)
	eventually(t, propagation, "the member to follow the fleet again", func(ctx context.Context) error {
		d, err := m.memberClient.AppsV1().DaemonSets(s.namespace).Get(ctx, "agent", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if d.Labels["example.com/seen"] != "again" {
			return fmt.Errorf("labels are %v", d.Labels)
		}
		return nil
	})
	if diff := cmp.Diff(pods, s.agentPods(t, m)); diff != "" {
		t.Errorf("pods after joining again: -before +after:\n%s", diff)
	}
	s.checkPodsStay(t)
	return pods
}

// leaveForGood takes a member out with its objects.
func (s *space) leaveForGood(t *testing.T, m *member, pods map[types.UID]bool) {
	t.Helper()
	must(t, asAdmin(), "fleet", "unjoin", m.Name())
	s.awaitUnjoined(t, m)
	eventually(t, propagation, "the objects to leave the member", func(ctx context.Context) error {
		_, err := m.memberClient.AppsV1().DaemonSets(s.namespace).Get(ctx, "agent", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the daemonset is there (%w)", err)
		}
		left, err := s.runningPods(ctx, m)
		for uid := range left {
			if pods[uid] {
				err = errors.Join(err, fmt.Errorf("pod %s runs", uid))
			}
		}
		return err
	})
	s.checkNothingLeft(t, m)
	s.checkPodsStay(t)
}

// leaveDead takes out a member that is gone for ever, in the middle of things.
func (s *space) leaveDead(t *testing.T, m *member) {
	t.Helper()
	s.joinAndAwait(t, m)
	s.agentPods(t, m)
	if err := m.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, asAdmin(), "fleet", "unjoin", m.Name(), "--force")
	s.awaitUnjoined(t, m)
	s.checkPodsStay(t)
	s.kubectl(t, "delete", "daemonset", "agent", "--timeout=30s")
	eventually(t, propagation, "the binding to go though a member never confirmed", func(ctx context.Context) error {
		bindings, err := fleetAPI(t).WorkV1alpha1().ResourceBindings(s.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, b := range bindings.Items {
			if b.Spec.Resource.Kind == "DaemonSet" {
				return fmt.Errorf("binding %s has clusters %v and tombstones %v", b.Name, b.Spec.Clusters, b.Spec.Tombstones)
			}
		}
		return nil
	})
}

func (s *space) joinAndAwait(t *testing.T, m *member) {
	t.Helper()
	if err := bed.fleet.Join(t.Context(), m.Member); err != nil {
		t.Fatal(err)
	}
	if err := bed.fleet.AwaitReady(t.Context(), m.Member); err != nil {
		t.Fatal(err)
	}
}

// createAgent creates a DaemonSet that runs in every member it is pinned to.
func (s *space) createAgent(t *testing.T) {
	t.Helper()
	const manifest = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent, labels: {" + homeLabel + ": everywhere}}, " +
		"spec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: agent, image: agent}]}}}}"
	if out := s.kubectlStdin(t, manifest, "apply", "-f", "-"); out.code != 0 {
		t.Fatal(out.stderr)
	}
	s.kubectl(t, "rollout", "status", "daemonset/agent", "--timeout=60s")
}

// agentPods are the uids of the DaemonSet's pods in a member, which has one node.
func (s *space) agentPods(t *testing.T, m *member) map[types.UID]bool {
	t.Helper()
	out := map[types.UID]bool{}
	eventually(t, propagation, "the member to run the daemonset", func(ctx context.Context) error {
		pods, err := m.memberClient.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=agent"})
		if err != nil {
			return err
		}
		clear(out)
		for _, pod := range pods.Items {
			if pod.Status.Phase == corev1.PodRunning {
				out[pod.UID] = true
			}
		}
		if len(out) != 1 {
			return fmt.Errorf("%d pods run", len(out))
		}
		return nil
	})
	return out
}

// awaitUnjoined waits until nothing of the member is in the fleet.
func (s *space) awaitUnjoined(t *testing.T, m *member) {
	t.Helper()
	client := fleetAPI(t)
	eventually(t, propagation, "the cluster to leave the fleet", func(ctx context.Context) error {
		if _, err := client.ClusterV1alpha1().Clusters().Get(ctx, m.Name(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the cluster is there (%w)", err)
		}
		_, err := s.kube.CoreV1().Namespaces().Get(ctx, clusterv1alpha1.MemberNamespace(m.Name()), metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("its namespace is there (%w)", err)
		}
		return nil
	})
}

// checkNothingLeft waits until nothing that the fleet installed is in a member that
// has left: no role, no account, no credential, no namespace, no process.
func (s *space) checkNothingLeft(t *testing.T, m *member) {
	t.Helper()
	eventually(t, propagation, "the fleet's installation to leave the member", func(ctx context.Context) error {
		var left []string
		if _, err := m.memberClient.CoreV1().Namespaces().Get(ctx, wellknown.NamespaceSystem, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			left = append(left, fmt.Sprintf("namespace %s (%v)", wellknown.NamespaceSystem, err))
		}
		roles, err := m.memberClient.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, role := range roles.Items {
			if ofFleet(role.Name) {
				left = append(left, "ClusterRole "+role.Name)
			}
		}
		bindings, err := m.memberClient.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, binding := range bindings.Items {
			if ofFleet(binding.Name) {
				left = append(left, "ClusterRoleBinding "+binding.Name)
			}
		}
		if m.Agent != nil && m.Agent.Alive() {
			left = append(left, "the agent's process")
		}
		if len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		return nil
	})
}

func ofFleet(name string) bool {
	return strings.HasPrefix(name, "fleet-") || strings.HasPrefix(name, "system:fleet") || strings.Contains(name, wellknown.Domain)
}

// checkPodsStay checks that the other members run their pods as before.
func (s *space) checkPodsStay(t *testing.T) {
	t.Helper()
	if err := s.checkPods(t.Context(), "app=agent", 4); err != nil {
		t.Errorf("members that stay are not concerned: %v", err)
	}
}
