// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

// specList has the full text of a spec in each line.
//
//go:embed testdata/specs.txt
var specList string

// Why specs fail on a fleet.
const (
	surges = "While a rollout goes on, or cannot, the fleet's ReplicaSets say how many replicas of each there are, but none asks for a part of them only; and surges are rounded up member by member."
	owners = "Pods belong to controllers in their member: their owners are not changed from the fleet, and a Pod that is stored in the fleet is adopted by nobody."
	quotas = "A quota of the fleet counts Pods of members, but does not keep members' controllers from making more."
)

// exceptions are the specs that fail on a fleet, and why.
var exceptions = map[string]string{
	"[sig-apps] Deployment deployment should support proportional scaling [Conformance]":                                      surges,
	"[sig-apps] Job should adopt matching orphans and release non-matching pods [Conformance]":                                owners,
	"[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]":          owners,
	"[sig-apps] ReplicationController should adopt matching pods on creation [Conformance]":                                   owners,
	"[sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota [Conformance]": quotas,
}

// TestConformance runs every spec of the sample on both, and wants the fleet to fail
// exactly those it is known to fail.
func TestConformance(t *testing.T) {
	specs := strings.Split(strings.TrimSpace(specList), "\n")
	known := slices.Sorted(maps.Keys(exceptions))
	if strange := without(known, specs); len(strange) > 0 {
		t.Errorf("exceptions that are not in the sample: %q", strange)
	}
	s := newStage(t)
	began := time.Now()
	report := s.compare(t, specs, side{name: "plain", kubeconfig: s.plain}, side{name: "fleet", kubeconfig: s.fleet, known: known})
	for _, spec := range specs {
		if report.plain.all[spec] != passed {
			t.Errorf("%s: %s on a plain cluster, want one that passes there", spec, report.plain.all[spec])
		}
		want := passed
		if exceptions[spec] != "" {
			want = failed
		}
		if report.fleet.all[spec] != want {
			t.Errorf("%s: %s on the fleet, want %s; see %s", spec, report.fleet.all[spec], want, s.logs)
		}
	}
	text := report.markdown(specs)
	t.Logf("after %s:\n%s", time.Since(began).Round(time.Second), text)
	if t.Failed() {
		return
	}
	if err := os.WriteFile(filepath.Join(s.repo, "docs", "conformance.md"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// result is what became of the specs on a cluster.
type result struct {
	all    outcomes
	mended []string // passed when they were run once more
}

// report compares the clusters.
type report struct{ plain, fleet result }

// compare runs the specs on both clusters at the same time.
func (s *stage) compare(t *testing.T, specs []string, plain, fleet side) *report {
	t.Helper()
	r := &report{}
	sides, results, errs := []side{plain, fleet}, []*result{&r.plain, &r.fleet}, make([]error, 2)
	var running sync.WaitGroup
	for i, on := range sides {
		running.Go(func() { results[i].all, errs[i] = s.run(t.Context(), on, specs) })
	}
	running.Wait()
	for i, on := range sides {
		if errs[i] != nil {
			t.Fatalf("%s: %v", on.name, errs[i])
		}
		var err error
		if results[i].mended, err = s.again(t.Context(), on, specs, results[i].all); err != nil {
			t.Fatalf("%s: %v", on.name, err)
		}
	}
	return r
}

// stage is a fleet over three members, of which one dials out, and a plain cluster beside it.
type stage struct {
	repo, bin, logs string
	plain, fleet    string // kubeconfigs
}

// reports is where processes leave what they found.
func (s *stage) reports() string { return filepath.Join(s.logs, "reports") }

// newStage starts everything and stops it when the test ends.
func newStage(t *testing.T) *stage {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{repo: repo, bin: filepath.Join(repo, "_bin"), logs: filepath.Join(repo, "_run", "conformance")}
	if err := os.RemoveAll(s.reports()); err != nil {
		t.Fatal(err)
	}
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
		testbed.MemberConfig{Name: "member1"}, testbed.MemberConfig{Name: "member2", DialsOut: true}, testbed.MemberConfig{Name: "member3"})
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

// markdown is the report as a document.
func (r *report) markdown(specs []string) string {
	var b strings.Builder
	count := 0
	for _, spec := range specs {
		if r.fleet.all[spec] == passed {
			count++
		}
	}
	fmt.Fprintf(&b, `# Conformance

Written by `+"`make conformance`"+`; do not edit.

Of %d of Kubernetes' conformance tests that pass on a plain cluster with simulated nodes, %d (%.0f %%) pass on a fleet over
three such clusters, one of which dials out. The tests are about API machinery, apps, authentication, kubectl and the like; those
that look into containers pass on neither, and are not in the sample (`+"`test/conformance/testdata/specs.txt`"+`).
`, len(specs), count, 100*float64(count)/float64(len(specs)))
	table(&b, "fails on the fleet", "why", specs, func(spec string) string { return exceptions[spec] })
	b.WriteString("\nAll tests run at the same time on both. What fails then is run once more, when nothing else runs.\n")
	table(&b, "passed only then", "on", specs, func(spec string) string {
		var on []string
		if slices.Contains(r.plain.mended, spec) {
			on = append(on, "the plain cluster")
		}
		if slices.Contains(r.fleet.mended, spec) {
			on = append(on, "the fleet")
		}
		return strings.Join(on, ", ")
	})
	return b.String()
}

// table writes what there is to say about specs, nothing when there is nothing.
func table(b *strings.Builder, heading, second string, specs []string, say func(spec string) string) {
	for _, spec := range specs {
		said := say(spec)
		if said == "" {
			continue
		}
		if heading != "" {
			fmt.Fprintf(b, "\n| %s | %s |\n|---|---|\n", heading, second)
			heading = ""
		}
		fmt.Fprintf(b, "| %s | %s |\n", strings.ReplaceAll(spec, "|", `\|`), said)
	}
}
