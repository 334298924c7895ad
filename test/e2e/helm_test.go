// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestHelm takes a chart as "helm create" makes it, unchanged, through the life of
// a release.
func TestHelm(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason  string
		program string
		wait    []string
	}{
		"3": {"waits for ReplicaSets", "helm3", []string{"--wait", "--timeout", "90s"}},
		"4": {"waits by kstatus", "helm4", []string{"--wait", "--timeout", "90s"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelease(t, tc.program)
			do := func(args ...string) {
				r.helm(t, append(args, tc.wait...)...)
				r.kubectl(t, "rollout", "status", "deployment/demo", "--timeout=90s")
			}

			do("install", "demo", r.chart, "--set", "replicaCount=4")
			r.check(t, tc.reason+": installed", 4, "nginx:1.16.0")

			do("upgrade", "demo", r.chart, "--set", "replicaCount=5", "--set", "image.tag=1.29")
			r.check(t, tc.reason+": upgraded", 5, "nginx:1.29")

			do("rollback", "demo", "1")
			r.check(t, tc.reason+": rolled back", 4, "nginx:1.16.0")
			r.checkHistory(t)

			r.helm(t, "uninstall", "demo", "--wait", "--timeout", "90s")
			r.checkUninstalled(t)
		})
	}
}

// release is a Helm release called demo in a space of its own.
type release struct {
	*space

	program string
	chart   string
}

func newRelease(t *testing.T, program string) *release {
	t.Helper()
	r := &release{space: newSpace(t), program: program, chart: filepath.Join(t.TempDir(), "demo")}
	r.helm(t, "create", r.chart)
	return r
}

func (r *release) helm(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, r.command, r.program, append(args, "--namespace", r.namespace)...)
}

// selector matches the release's pods and services.
const selector = "app.kubernetes.io/instance=demo"

// check checks, right after waiting, that the members run the release.
func (r *release) check(t *testing.T, reason string, replicas int, image string) {
	t.Helper()
	if err := r.checkReady(t.Context(), replicas); err != nil {
		t.Errorf("%s: it is said to be ready, but %v", reason, err)
	}
	r.checkImage(t, selector, image, replicas)
	for _, m := range bed.members {
		if _, err := m.memberClient.CoreV1().Services(r.namespace).Get(t.Context(), "demo", metav1.GetOptions{}); err != nil {
			t.Errorf("%s: read service from %s: %v", reason, m.Name(), err)
		}
		secrets, err := m.memberClient.CoreV1().Secrets(r.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm"})
		if err != nil {
			t.Fatal(err)
		}
		if len(secrets.Items) > 0 {
			t.Errorf("%s: Helm's own records stay in the fleet, %s has %d", reason, m.Name(), len(secrets.Items))
		}
	}
}

// checkReady checks that the fleet calls the release ready with good reason. Helm
// takes maxUnavailable (25 %) for granted, so that many may be missing.
func (r *release) checkReady(ctx context.Context, replicas int) error {
	pods, err := r.readyPods(ctx, selector)
	if err != nil {
		return err
	}
	ready := 0
	for _, list := range pods {
		ready += len(list)
	}
	if unavailable := replicas / 4; ready < replicas-unavailable {
		return fmt.Errorf("%d of %d pods are ready", ready, replicas)
	}
	return nil
}

func (r *release) checkHistory(t *testing.T) {
	t.Helper()
	var statuses []string
	for line := range strings.Lines(r.helm(t, "history", "demo")) {
		for _, status := range []string{"superseded", "deployed"} {
			if strings.Contains(line, status) {
				statuses = append(statuses, status)
			}
		}
	}
	if diff := cmp.Diff([]string{"superseded", "superseded", "deployed"}, statuses); diff != "" {
		t.Errorf("history after install, upgrade and rollback: -want +got:\n%s", diff)
	}
}

func (r *release) checkUninstalled(t *testing.T) {
	t.Helper()
	if left := r.kubectl(t, "get", "deployments,services,serviceaccounts", "--selector", selector, "-o", "name"); left != "" {
		t.Errorf("the fleet after uninstall --wait: want nothing of the release, got\n%s", left)
	}
	eventually(t, propagation, "the release to leave the members", func(ctx context.Context) error {
		for _, m := range bed.members {
			list := metav1.ListOptions{LabelSelector: selector}
			pods, err := m.memberClient.CoreV1().Pods(r.namespace).List(ctx, list)
			if err != nil {
				return err
			}
			services, err := m.memberClient.CoreV1().Services(r.namespace).List(ctx, list)
			if err != nil {
				return err
			}
			accounts, err := m.memberClient.CoreV1().ServiceAccounts(r.namespace).List(ctx, list)
			if err != nil {
				return err
			}
			if n := len(pods.Items) + len(services.Items) + len(accounts.Items); n > 0 {
				return fmt.Errorf("%s has %d pods, %d services, %d service accounts",
					m.Name(), len(pods.Items), len(services.Items), len(accounts.Items))
			}
		}
		return nil
	})
}
