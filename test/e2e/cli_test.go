// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
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
