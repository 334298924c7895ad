// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

// specList has the full text of a spec in each line.
//
//go:embed testdata/specs.txt
var specList string

// Why specs fail on a fleet.
const (
	surges = "Each member rolls out its share by itself, with a surge of its own, so a rollout that cannot go on stops at other numbers."
	owners = "Pods belong to controllers in their member: the owners and labels by which a controller there takes or lets go of a Pod are not changed from the fleet, and what is stored in the fleet is adopted by nobody."
	quotas = "A quota of the fleet counts Pods of members, but does not keep members' controllers from making more."
	tokens = "The member that runs a Pod mounts its token there; the Pod as stored in the fleet does not show the volume."
	nodes  = "The label kubernetes.io/hostname has the node's name in its member, and a selector with its name in the fleet fits none."
)

// exceptions are the specs that fail on a fleet, and why.
var exceptions = map[string]string{
	"[sig-apps] Deployment deployment should support proportional scaling [Conformance]":                                      surges,
	"[sig-apps] Job should adopt matching orphans and release non-matching pods [Conformance]":                                owners,
	"[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]":          owners,
	"[sig-apps] ReplicationController should adopt matching pods on creation [Conformance]":                                   owners,
	"[sig-apps] ReplicationController should release no longer matching pods [Conformance]":                                   owners,
	"[sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota [Conformance]": quotas,
	"[sig-auth] ServiceAccounts should allow opting out of API token automount [Conformance]":                                 tokens,
	"[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early [Conformance]":              nodes,
}

// TestConformance runs every spec of the sample on both, and wants the fleet to fail
// exactly those it is known to fail.
func TestConformance(t *testing.T) {
	specs := strings.Split(strings.TrimSpace(specList), "\n")
	for spec := range exceptions {
		if !slices.Contains(specs, spec) {
			t.Errorf("exception %q is not in the sample", spec)
		}
	}
	s := newStage(t)
	plain, err := s.run(t.Context(), "plain", s.plain, specs)
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := s.run(t.Context(), "fleet", s.fleet, specs)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range specs {
		if plain[spec] != passed {
			t.Errorf("%s: %s on a plain cluster, want one that passes there", spec, plain[spec])
		}
		want := passed
		if exceptions[spec] != "" {
			want = failed
		}
		if fleet[spec] != want {
			t.Errorf("%s: %s on the fleet, want %s; see %s", spec, fleet[spec], want, s.logs)
		}
	}
	report := markdown(specs, fleet, exceptions)
	t.Log("\n" + report)
	if t.Failed() {
		return
	}
	if err := os.WriteFile(filepath.Join(s.repo, "docs", "conformance.md"), []byte(report), 0o644); err != nil {
		t.Fatal(err)
	}
}

// stage is a fleet over three members and a plain cluster beside it.
type stage struct {
	repo, bin, logs string
	plain, fleet    string // kubeconfigs
}

// newStage starts everything and stops it when the test ends.
func newStage(t *testing.T) *stage {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{repo: repo, bin: filepath.Join(repo, "_bin"), logs: filepath.Join(repo, "_run", "conformance")}
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{Dir: s.logs, Bin: s.bin, Report: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop: %v", err)
		}
		_ = bed.Close()
	})
	if err := s.start(t.Context(), bed); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) start(ctx context.Context, bed *testbed.Bed) error {
	fleet, err := bed.StartFleet(ctx, testbed.FleetConfig{})
	if err != nil {
		return err
	}
	members, err := bed.StartMembers(ctx, testbed.MemberConfig{Name: "plain"},
		testbed.MemberConfig{Name: "member1"}, testbed.MemberConfig{Name: "member2"}, testbed.MemberConfig{Name: "member3"})
	if err != nil {
		return err
	}
	s.plain, s.fleet = members[0].Kubeconfig(), fleet.Kubeconfig()
	for _, m := range members[1:] {
		if err := fleet.Join(ctx, m); err != nil {
			return fmt.Errorf("join %s: %w", m.Name(), err)
		}
	}
	return fleet.AwaitReady(ctx, members[1:]...)
}

// markdown is the report.
func markdown(specs []string, fleet map[string]string, exceptions map[string]string) string {
	var b strings.Builder
	count := 0
	for _, spec := range specs {
		if fleet[spec] == passed {
			count++
		}
	}
	fmt.Fprintf(&b, `# Conformance

Written by `+"`make conformance`"+`; do not edit.

Of %d of Kubernetes' conformance tests that pass on a plain cluster with simulated nodes, %d pass on a fleet over three
such clusters. The tests are about API machinery, apps, authentication and kubectl; those that look into containers
pass on neither, and are not in the sample (`+"`test/conformance/testdata/specs.txt`"+`).
`, len(specs), count)
	if len(exceptions) == 0 {
		return b.String()
	}
	b.WriteString("\n| fails on the fleet | why |\n|---|---|\n")
	for _, spec := range specs {
		if why := exceptions[spec]; why != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(spec, "|", `\|`), why)
		}
	}
	return b.String()
}
