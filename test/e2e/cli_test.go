// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/test/testbed"
)

// TestGetClusters prints the members in every format.
func TestGetClusters(t *testing.T) {
	t.Parallel()
	get := func(args ...string) string {
		t.Helper()
		return must(t, asAdmin(), "fleet", append([]string{"get", "clusters"}, args...)...)
	}
	table := get()
	if header, _, _ := strings.Cut(table, "\n"); !strings.Contains(header, "NAME") || !strings.Contains(header, "READY") {
		t.Errorf("get clusters prints a table, got\n%s", table)
	}
	for _, m := range bed.members {
		if !strings.Contains(table, m.Name()) || !strings.Contains(get("-o", "wide"), m.Name()) {
			t.Errorf("get clusters lacks %s:\n%s", m.Name(), table)
		}
	}
	if wide := get("-o", "wide"); len(strings.Fields(wide)) <= len(strings.Fields(table)) {
		t.Errorf("-o wide has more columns than\n%s\ngot\n%s", table, wide)
	}
	for format, parse := range map[string]func([]byte, any) error{
		"json": json.Unmarshal,
		"yaml": func(raw []byte, into any) error { return yaml.UnmarshalStrict(raw, into) },
	} {
		var list clusterv1alpha1.ClusterList
		if err := parse([]byte(get("-o", format)), &list); err != nil {
			t.Errorf("parse -o %s: %v", format, err)
		}
		var names []string
		for _, c := range list.Items {
			names = append(names, c.Name)
		}
		if diff := cmp.Diff([]string{"member1", "member2"}, names); diff != "" {
			t.Errorf("clusters as %s: -want +got:\n%s", format, diff)
		}
	}
}

// TestVersionAndCompletion runs what works without a fleet.
func TestVersionAndCompletion(t *testing.T) {
	t.Parallel()
	if out := must(t, asAdmin(), "fleet", "version"); !strings.Contains(out, "v1.36") {
		t.Errorf("version names the Kubernetes version it serves, got\n%s", out)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := must(t, asAdmin(), "fleet", "completion", shell); len(out) < 500 {
			t.Errorf("completion for %s: got %d bytes", shell, len(out))
		}
	}
	script := command{stdin: must(t, asAdmin(), "fleet", "completion", "bash")}
	if out := script.run(t, "bash", "-n"); out.code != 0 {
		t.Errorf("bash does not understand its completion: %s", out.stderr)
	}
}

// TestKubectlPlugin calls fleet as kubectl does.
func TestKubectlPlugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(bed.bin, "fleet"), filepath.Join(dir, "kubectl-fleet")); err != nil {
		t.Fatal(err)
	}
	user := asAdmin()
	user.path = dir
	if out := must(t, user, "kubectl", "fleet", "get", "clusters"); !strings.Contains(out, "member1") {
		t.Errorf("kubectl fleet get clusters: want member1, got\n%s", out)
	}
	if out := must(t, user, "kubectl", "fleet", "get", "--help"); !strings.Contains(out, "kubectl fleet get") {
		t.Errorf("help of a plugin says how it is called, got\n%s", out)
	}
}

// TestJoinTwice joins a member again: nothing changes.
func TestJoinTwice(t *testing.T) {
	t.Parallel()
	client := fleetAPI(t)
	m := bed.members[0]
	before, err := client.ClusterV1alpha1().Clusters().Get(t.Context(), m.Name(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, asAdmin(), "fleet", "join", m.Name(), "--kubeconfig", m.Kubeconfig())
	after, err := client.ClusterV1alpha1().Clusters().Get(t.Context(), m.Name(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{before.UID, before.Generation}, []any{after.UID, after.Generation}); diff != "" {
		t.Errorf("a second join changes nothing: uid and generation, -before +after:\n%s", diff)
	}
}

// TestJoinRefuses joins what cannot be joined.
func TestJoinRefuses(t *testing.T) {
	t.Parallel()
	m := bed.members[0]
	cases := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"NoKubeconfig":  {"which cluster must be said", []string{"join", "other"}, "kubeconfig"},
		"MissingFile":   {"a file that is not there is named", []string{"join", "other", "--kubeconfig", "/no/such/file"}, "/no/such/file"},
		"BadName":       {"a name must be a DNS label", []string{"join", "Other_", "--kubeconfig", m.Kubeconfig()}, "Other_"},
		"OtherName":     {"a cluster is a member once", []string{"join", "other", "--kubeconfig", m.Kubeconfig()}, m.Name()},
		"OtherCluster":  {"a name is one cluster's", []string{"join", m.Name(), "--kubeconfig", bed.members[1].Kubeconfig()}, m.Name()},
		"UnjoinUnknown": {"only members can leave", []string{"unjoin", "other"}, "other"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			out := asAdmin().run(t, "fleet", tc.args...)
			if out.code == 0 || !strings.Contains(out.stderr, tc.want) {
				t.Errorf("%s: want an error with %q, got %d %s%s", tc.reason, tc.want, out.code, out.stdout, out.stderr)
			}
			if lines := complaints(out.stderr); len(lines) != 1 {
				t.Errorf("%s: want one line, got %d:\n%s", tc.reason, len(lines), out.stderr)
			}
		})
	}
}

// TestUnjoin has a third member leave twice: first its objects stay, and are taken
// back without a restart when it joins again; then they go.
func TestUnjoin(t *testing.T) {
	s := newSpace(t)
	m, err := bed.startMember(t.Context(), testbed.MemberConfig{Name: "member3", Nodes: 1})
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
			t.Log(asAdmin().run(t, "fleet", "unjoin", m.Name()))
		}
	})
	s.joinAndAwait(t, m)
	s.createAgent(t)
	pods := s.agentPods(t, m)

	must(t, asAdmin(), "fleet", "unjoin", m.Name(), "--keep-objects")
	s.awaitUnjoined(t, m)
	if diff := cmp.Diff(pods, s.agentPods(t, m)); diff != "" {
		t.Errorf("pods after unjoin --keep-objects: -before +after:\n%s", diff)
	}

	s.joinAndAwait(t, m)
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

	must(t, asAdmin(), "fleet", "unjoin", m.Name())
	s.awaitUnjoined(t, m)
	eventually(t, propagation, "the objects to leave the member", func(ctx context.Context) error {
		_, err := m.memberClient.AppsV1().DaemonSets(s.namespace).Get(ctx, "agent", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the daemonset is there (%w)", err)
	})
	s.checkPodsStay(t)
}

func (s *space) joinAndAwait(t *testing.T, m *member) {
	t.Helper()
	must(t, asAdmin(), "fleet", "join", m.Name(), "--kubeconfig", m.Kubeconfig())
	if err := bed.fleet.AwaitReady(t.Context(), m.Member); err != nil {
		t.Fatal(err)
	}
}

// createAgent creates a DaemonSet, which runs in every member.
func (s *space) createAgent(t *testing.T) {
	t.Helper()
	const manifest = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}, spec: {selector: {matchLabels: {app: agent}}, " +
		"template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: agent, image: agent}]}}}}"
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

// checkPodsStay checks that the other members run their pods as before.
func (s *space) checkPodsStay(t *testing.T) {
	t.Helper()
	if err := s.checkPods(t.Context(), "app=agent", 4); err != nil {
		t.Errorf("members that stay are not concerned: %v", err)
	}
}
