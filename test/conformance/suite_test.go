// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"fleet.dev/fleet/test/testbed/toolchain"
)

// Outcomes of a spec.
const (
	passed = "passed"
	failed = "failed"
)

const (
	// shards is how many processes run specs of one cluster side by side.
	shards = 3
	// shardTimeout is how long the specs of one process may take together.
	shardTimeout = 20 * time.Minute
	// knownTimeout is how long a spec may take that is known to fail: some wait for a
	// quarter of an hour.
	knownTimeout = 6 * time.Minute
)

// outcomes has what became of each spec.
type outcomes map[string]string

// side is a cluster that specs are run on.
type side struct {
	name, kubeconfig string
	// known are the specs that fail there, each of which gets a process of its own.
	known []string
}

// run runs the specs on a cluster, side by side.
func (s *stage) run(ctx context.Context, on side, specs []string) (outcomes, error) {
	batches := make([]batch, shards, shards+len(on.known))
	for i := range batches {
		batches[i] = batch{dir: fmt.Sprint(i), timeout: shardTimeout}
	}
	for i, spec := range without(specs, on.known) {
		batches[i%shards].specs = append(batches[i%shards].specs, spec)
	}
	for i, spec := range on.known {
		batches = append(batches, batch{dir: fmt.Sprintf("known-%d", i), timeout: knownTimeout, specs: []string{spec}})
	}
	return s.batches(ctx, on, batches)
}

// again runs once more what failed, but is not known to: one spec after another, when
// nothing else runs. It returns which passed now.
func (s *stage) again(ctx context.Context, on side, specs []string, all outcomes) (mended []string, err error) {
	var failures []string
	for _, spec := range without(specs, on.known) {
		if all[spec] != passed {
			failures = append(failures, spec)
		}
	}
	second, err := s.batches(ctx, on, []batch{{dir: "again", timeout: shardTimeout, specs: failures}})
	for _, spec := range failures {
		if second[spec] == passed {
			all[spec] = passed
			mended = append(mended, spec)
		}
	}
	return mended, err
}

// without are the specs that are not among others.
func without(specs, others []string) []string {
	return slices.DeleteFunc(slices.Clone(specs), func(spec string) bool { return slices.Contains(others, spec) })
}

// batch is what one process runs. Its report and its log are in dir.
type batch struct {
	dir     string
	timeout time.Duration
	specs   []string
}

// batches runs batches side by side.
func (s *stage) batches(ctx context.Context, on side, batches []batch) (outcomes, error) {
	var group sync.WaitGroup
	found, errs := make([]outcomes, len(batches)), make([]error, len(batches))
	for i, b := range batches {
		if len(b.specs) == 0 {
			continue
		}
		b.dir = filepath.Join(s.reports(), on.name, b.dir)
		group.Go(func() { found[i], errs[i] = s.process(ctx, on.kubeconfig, b) })
	}
	group.Wait()
	all := outcomes{}
	for _, o := range found {
		maps.Copy(all, o)
	}
	return all, errors.Join(errs...)
}

// process runs a batch. That specs fail is no error; that the process leaves no report is
// one.
func (s *stage) process(ctx context.Context, kubeconfig string, b batch) (outcomes, error) {
	if err := errors.Join(os.RemoveAll(b.dir), os.MkdirAll(b.dir, 0o750)); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	focus := make([]string, len(b.specs))
	for i, spec := range b.specs {
		focus[i] = regexp.QuoteMeta(spec)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, toolchain.Conformance),
		"--kubeconfig="+kubeconfig, "--provider=skeleton", "--kubectl-path="+filepath.Join(s.bin, "kubectl"),
		"--ginkgo.no-color", "--ginkgo.v", "--ginkgo.timeout="+b.timeout.String(), "--ginkgo.focus="+strings.Join(focus, "|"), "--report-dir="+b.dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runErr := cmd.Run()
	raw, err := os.ReadFile(filepath.Join(b.dir, "junit_01.xml"))
	if err != nil {
		return nil, fmt.Errorf("run conformance tests, see %s: %w", log.Name(), errors.Join(runErr, err))
	}
	return parse(raw)
}

// parse reads the outcomes of specs from a JUnit report.
func parse(raw []byte) (outcomes, error) {
	var report struct {
		Suites []struct {
			Cases []struct {
				Name   string `xml:"name,attr"`
				Status string `xml:"status,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(raw, &report); err != nil {
		return nil, fmt.Errorf("read report of conformance tests: %w", err)
	}
	out := outcomes{}
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			spec, ok := strings.CutPrefix(c.Name, "[It] ")
			if !ok || c.Status == "skipped" {
				continue
			}
			outcome := failed
			if c.Status == passed {
				outcome = passed
			}
			out[spec] = outcome
		}
	}
	return out, nil
}
