// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"fleet.dev/fleet/pkg/controllers/manager"
)

const kubeconfig = `{apiVersion: v1, kind: Config, current-context: f,
clusters: [{name: f, cluster: {server: "https://fleet:6443"}}],
contexts: [{name: f, context: {cluster: f, user: f}}], users: [{name: f}]}`

// parse returns the configuration that a command line makes.
func parse(t *testing.T, args ...string) (*manager.Config, error) {
	t.Helper()
	opts, err := NewOptions()
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, set := range opts.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	return opts.Config()
}

func TestFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := parse(t, "--kubeconfig", file, "--controllers", "*,-resourcequota", "--leader-elect=false",
		"--service-account-private-key-file", "sa.key", "--root-ca-file", "ca.crt",
		"--cluster-signing-cert-file", "ca.crt", "--cluster-signing-key-file", "ca.key", "--concurrent-gc-syncs", "7")
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"https://fleet:6443", []string{"*", "-resourcequota"}, false, "sa.key", "ca.crt", "ca.crt", "ca.key", int32(7)}
	kube := config.Kube
	got := []any{
		config.RESTConfig.Host, kube.Generic.Controllers, kube.Generic.LeaderElection.LeaderElect,
		kube.SAController.ServiceAccountKeyFile, kube.SAController.RootCAFile,
		kube.CSRSigningController.ClusterSigningCertFile, kube.CSRSigningController.ClusterSigningKeyFile,
		kube.GarbageCollectorController.ConcurrentGCSyncs,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("\nFlags of kube-controller-manager mean what they mean there.\nConfig(): -want, +got:\n%s", diff)
	}
}

func TestBadFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"NoFile":   {reason: "A file that is missing is named, with its flag.", args: []string{"--kubeconfig", "/no/such/file"}, want: "load the kubeconfig of the fleet (--kubeconfig): stat /no/such/file"},
		"BadPort":  {reason: "A port that does not exist is refused.", args: []string{"--kubeconfig", file, "--secure-port", "70000"}, want: "--secure-port 70000"},
		"BadLock":  {reason: "There is one kind of lock.", args: []string{"--kubeconfig", file, "--leader-elect-resource-lock", "endpoints"}, want: `must be "leases"`},
		"HalfPair": {reason: "A key belongs to a certificate.", args: []string{"--kubeconfig", file, "--cluster-signing-kubelet-client-cert-file", "ca.crt"}, want: "cannot specify cert without key"},
		"Foreign":  {reason: "Flags of controllers that do not run here do not exist.", args: []string{"--allocate-node-cidrs"}, want: "unknown flag: --allocate-node-cidrs"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(t, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("\n%s\nwant error with %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
