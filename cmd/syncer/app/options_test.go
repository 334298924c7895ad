// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"fleet.dev/fleet/pkg/agent"
	"fleet.dev/fleet/pkg/election"
)

func TestServes(t *testing.T) {
	cases := map[string]struct {
		reason  string
		members []string
		want    map[string]bool
	}{
		"Names": {
			reason:  "a plain name is that member and no other that begins the same",
			members: []string{"edge-1", "edge-2"},
			want:    map[string]bool{"edge-1": true, "edge-2": true, "edge-10": false, "my-edge-1": false},
		},
		"Pattern": {
			reason:  "a pattern matches whole names, alternatives included",
			members: []string{"edge-[0-9]+|core"},
			want:    map[string]bool{"edge-10": true, "core": true, "core-2": false, "edge-": false},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			serves, err := (&PushOptions{Members: tc.members}).serves()
			if err != nil {
				t.Fatalf("%s: serves(): %v", tc.reason, err)
			}
			got := map[string]bool{}
			for cluster := range tc.want {
				got[cluster] = serves(cluster)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
	if serves, err := (&PushOptions{}).serves(); serves != nil || err != nil {
		t.Errorf("serves() without --members is not all: %v", err)
	}
}

func TestComponentRefuses(t *testing.T) {
	cases := map[string]struct {
		reason string
		flags  []string
		want   string
	}{
		"Mode":     {"there are two modes", []string{"--mode=both"}, `--mode is "both"`},
		"Workers":  {"no workers would never do anything", []string{"--workers-per-member=0"}, "--workers-per-member"},
		"Pattern":  {"a pattern that is none must not match nothing in silence", []string{"--members=edge-["}, "--members"},
		"Nobody":   {"an agent does not guess which member it is in", []string{"--mode=pull"}, "--cluster is required"},
		"NoMember": {"outside of a Pod the member has to be named", []string{"--mode=pull", "--cluster=edge"}, "--member-kubeconfig is required"},
		"Fleet":    {"a kubeconfig of the fleet is no use to an agent", []string{"--mode=pull", "--cluster=edge", "--kubeconfig=f"}, "--kubeconfig has no meaning in pull mode"},
		"Others":   {"an agent serves one member", []string{"--mode=pull", "--cluster=edge", "--members=other"}, "--members has no meaning in pull mode"},
		"Pushed":   {"a forgotten --mode=pull must not serve all members", []string{"--cluster=edge"}, "--cluster has a meaning with --mode=pull only"},
		"Long":     {"a stolen certificate does not last", []string{"--mode=pull", "--cluster=edge", "--certificate-duration=48h"}, "--certificate-duration is 48h"},
		"Short":    {"the API takes no less", []string{"--mode=pull", "--cluster=edge", "--certificate-duration=1m"}, "--certificate-duration is 1m"},
		"NoFile":   {"a file that is missing is named", []string{"--mode=pull", "--cluster=edge", "--bootstrap-kubeconfig=testdata/none"}, "read --bootstrap-kubeconfig: open testdata/none"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, tc.flags...).component()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: component() returned %v, want an error that has %q", tc.reason, err, tc.want)
			}
		})
	}
}

// parse returns the options that flags set.
func parse(t *testing.T, flags ...string) *Options {
	t.Helper()
	o := NewOptions()
	all := pflag.NewFlagSet("test", pflag.ContinueOnError)
	for _, set := range o.Flags().FlagSets {
		all.AddFlagSet(set)
	}
	if err := all.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestPullComponent(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: "https://member"}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	config.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	c, err := parse(t, "--mode=pull", "--cluster=edge", "--member-kubeconfig", kubeconfig).component()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"https://member", kubeconfig}, []string{c.home.Host, c.homeFile}); diff != "" {
		t.Errorf("an agent is elected and watched in the member: -want +got:\n%s", diff)
	}
	if err := c.ready(); !errors.Is(err, errNoTunnel) {
		t.Errorf("an agent without a tunnel is not ready: %v", err)
	}
}

func TestExit(t *testing.T) {
	if err := asExit(agent.ErrLeft); err != nil {
		t.Errorf("an agent that removed itself has not failed: %v", err)
	}
	if err := asExit(election.ErrLost); !errors.Is(err, election.ErrLost) {
		t.Errorf("a lost lease is a failure: %v", err)
	}
}

func TestElection(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		flags  []string
		want   string
	}{
		"Push":   {"syncers of all members share a lease", nil, "kube-system/fleet-syncer"},
		"Some":   {"syncers of different members do not keep each other from working", []string{"--members=edge-1"}, "kube-system/fleet-syncer-b35902f6"},
		"Others": {"syncers of different members do not keep each other from working", []string{"--members=edge-2"}, "kube-system/fleet-syncer-b2590163"},
		"Pull":   {"agents of one member are elected in its namespace for the fleet", []string{"--mode=pull"}, "fleet-system/fleet-agent"},
		"Named":  {"flags say otherwise", []string{"--mode=pull", "--leader-elect-resource-name=a", "--leader-elect-resource-namespace=b"}, "b/a"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := parse(t, tc.flags...).election()
			if got := settings.ResourceNamespace + "/" + settings.ResourceName; got != tc.want {
				t.Errorf("%s: election() is for %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}
