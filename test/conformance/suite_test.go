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
	"strings"
	"sync"

	"fleet.dev/fleet/test/testbed/toolchain"
)

// Outcomes of a spec.
const (
	passed = "passed"
	failed = "failed"
)

// shards is how many processes run specs of one cluster side by side.
const shards = 4

// run runs the specs on the cluster of a kubeconfig and returns the outcome of each.
// Its logs are in the directory name.
func (s *stage) run(ctx context.Context, name, kubeconfig string, specs []string) (map[string]string, error) {
	var group sync.WaitGroup
	outcomes, errs := make([]map[string]string, shards), make([]error, shards)
	for i := range shards {
		var share []string
		for j := i; j < len(specs); j += shards {
			share = append(share, specs[j])
		}
		if len(share) == 0 {
			continue
		}
		group.Go(func() {
			outcomes[i], errs[i] = s.shard(ctx, filepath.Join(s.logs, "reports", name, fmt.Sprint(i)), kubeconfig, share)
		})
	}
	group.Wait()
	all := map[string]string{}
	for _, o := range outcomes {
		maps.Copy(all, o)
	}
	return all, errors.Join(errs...)
}

// shard runs specs in one process. That specs fail is no error; that the process
// leaves no report is one.
func (s *stage) shard(ctx context.Context, dir, kubeconfig string, specs []string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	focus := make([]string, len(specs))
	for i, spec := range specs {
		focus[i] = regexp.QuoteMeta(spec)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, toolchain.Conformance),
		"--kubeconfig="+kubeconfig, "--provider=skeleton", "--kubectl-path="+filepath.Join(s.bin, "kubectl"),
		"--ginkgo.no-color", "--ginkgo.v", "--ginkgo.timeout=60m", "--ginkgo.focus="+strings.Join(focus, "|"), "--report-dir="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	runErr := cmd.Run()
	raw, err := os.ReadFile(filepath.Join(dir, "junit_01.xml"))
	if err != nil {
		return nil, fmt.Errorf("run conformance tests, see %s: %w", log.Name(), errors.Join(runErr, err))
	}
	return parse(raw)
}

// parse reads the outcomes of specs from a JUnit report.
func parse(raw []byte) (map[string]string, error) {
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
	out := map[string]string{}
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
