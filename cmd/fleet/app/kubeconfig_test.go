// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// fleetKubeconfig is the kubeconfig of a fleet with the member paris, and two of
// its users.
func fleetKubeconfig(t *testing.T) (file, server string) {
	t.Helper()
	file = fakeFleet(t, "paris")
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	server = config.Clusters["test"].Server
	config.AuthInfos["ann"] = &clientcmdapi.AuthInfo{Token: "secret"}
	config.AuthInfos["other"] = &clientcmdapi.AuthInfo{Token: "of another"}
	config.Contexts["test"].AuthInfo, config.Contexts["test"].Namespace = "ann", "shop"
	config.Contexts["other"].AuthInfo = "other"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file, server
}

func TestKubeconfig(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		args   []string
		out    string // golden file of what is printed
		file   string // golden file of the kubeconfig afterwards
	}{
		"Beside":    {reason: "The context is put beside the fleet's, with the same user.", out: "kubeconfig-created.txt", file: "kubeconfig-beside.yaml"},
		"OwnName":   {reason: "The user names it.", args: []string{"--context-name", "paris"}, out: "kubeconfig-named.txt", file: "kubeconfig-named.yaml"},
		"OfContext": {reason: "Another context is another user.", args: []string{"--context", "other"}, out: "kubeconfig-other.txt", file: "kubeconfig-other.yaml"},
		"Printed":   {reason: "What is printed is complete, and nothing is written.", args: []string{"-o", "-"}, out: "kubeconfig-printed.yaml", file: "kubeconfig-untouched.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			file, server := fleetKubeconfig(t)
			clean := func(text string) string { return strings.ReplaceAll(text, server, "https://fleet:6443") }
			out, errOut := runCommand(t, "fleet", append([]string{"kubeconfig", "paris", "--kubeconfig", file}, tc.args...)...)
			if errOut != "" {
				t.Fatalf("\n%s\n%s", tc.reason, errOut)
			}
			golden(t, tc.reason, tc.out, clean(out))
			after, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tc.reason, tc.file, clean(string(after)))
		})
	}
}

func TestKubeconfigAgain(t *testing.T) {
	file, _ := fleetKubeconfig(t)
	for _, want := range []string{`Context "test-paris" created.`, `Context "test-paris" modified.`} {
		if out, errOut := runCommand(t, "fleet", "kubeconfig", "paris", "--kubeconfig", file); !strings.HasPrefix(out, want) {
			t.Errorf("\nWhat happened is said.\nfleet kubeconfig: want %q, got %q %s", want, out, errOut)
		}
	}
}

func TestKubeconfigFile(t *testing.T) {
	file, server := fleetKubeconfig(t)
	own := filepath.Join(t.TempDir(), "paris.kubeconfig")
	if out, errOut := runCommand(t, "fleet", "kubeconfig", "paris", "--kubeconfig", file, "--output", own); out+errOut != "" {
		t.Errorf("\nA file is written in silence.\nfleet kubeconfig: %s%s", out, errOut)
	}
	config, err := clientcmd.LoadFromFile(own)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"test-paris", server + "/apis/cluster.fleet.dev/v1alpha1/clusters/paris/proxy", "secret"}
	if diff := cmp.Diff(want, []string{config.CurrentContext, config.Clusters["test-paris"].Server, config.AuthInfos["ann"].Token}); diff != "" {
		t.Errorf("\nThe file is complete.\nfleet kubeconfig: -want, +got:\n%s", diff)
	}
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("\nIt has credentials in it, so it is its user's alone.\nfleet kubeconfig: %v, %v", info.Mode(), err)
	}
}

func TestKubeconfigErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"Unknown":   {reason: "A member that is not there is not written.", args: []string{"rome"}, want: `error: get cluster "rome": clusters.cluster.fleet.dev "rome" not found`},
		"OverFleet": {reason: "The way to the fleet is not replaced by one to a member.", args: []string{"paris", "--context-name", "test"}, want: `error: "test" is the name of the fleet itself: choose another one with --context-name`},
		"NoName":    {reason: "One member at a time.", want: "error: expected the name of one member, got 0 arguments: []"},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := fleetKubeconfig(t)
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, errOut := runCommand(t, "fleet", append([]string{"kubeconfig", "--kubeconfig", file}, tc.args...)...)
			if diff := cmp.Diff(tc.want+"\n", errOut); diff != "" {
				t.Errorf("\n%s\nfleet kubeconfig: -want, +got:\n%s", tc.reason, diff)
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
				t.Errorf("\nNothing is written after an error.\n%v", err)
			}
		})
	}
}
