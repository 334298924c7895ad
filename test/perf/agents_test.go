// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fleet.dev/fleet/test/e2e/crowd"
	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	// crowdSize is how many agents join.
	crowdSize = 500
	// joinTimeout bounds the time until all have; relinkTimeout that after a restart.
	joinTimeout   = 10 * time.Minute
	relinkTimeout = 5 * time.Minute
)

// agentReport is what TestBenchAgents measured. Members are simulated, agents and
// server are real; the agents share the machine with the server.
type agentReport struct {
	Agents int `json:"agents"`
	// Joined is from the first agent's start until all are ready and linked.
	Joined float64 `json:"joinedSeconds"`
	// Before, Idle and PerAgent are the server's memory.
	Before   crowd.Memory `json:"before"`
	Idle     crowd.Memory `json:"idle"`
	PerAgent crowd.Memory `json:"perAgent"`
	// IdleCPU is the share of one processor the server uses with idle agents.
	IdleCPU float64 `json:"idleCPU"`
	// Restarted is how long the server took to be ready again, Relinked how long
	// after that the last agent had its watch, its lease and its tunnel.
	Restarted float64 `json:"restartedSeconds"`
	Relinked  float64 `json:"relinkedSeconds"`
	// AfterRestart is the server's memory when all were back.
	AfterRestart crowd.Memory `json:"afterRestart"`
}

// TestBenchAgents joins many agents and restarts the server under them.
func TestBenchAgents(t *testing.T) {
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	fleet := startLoneFleet(t, filepath.Join(repo, "_run", "perf-agents"), filepath.Join(repo, "_bin"))
	out := agentReport{Agents: crowdSize}
	if out.Before, err = crowd.Measure(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	c := crowd.Start(t, fleet, crowdSize)
	took, err := c.AwaitJoined(t.Context(), joinTimeout)
	if err != nil {
		t.Fatal(err)
	}
	out.Joined = took.Seconds()
	if out.IdleCPU, err = idleCPU(fleet.Process.PID()); err != nil {
		t.Fatal(err)
	}
	if out.Idle, err = crowd.Measure(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	out.PerAgent = out.Idle.PerAgent(out.Before, crowdSize)

	began := time.Now()
	if err := fleet.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	out.Restarted = time.Since(began).Seconds()
	if took, err = c.AwaitLinked(t.Context(), time.Now(), relinkTimeout); err != nil {
		t.Fatal(err)
	}
	out.Relinked = took.Seconds()
	if out.AfterRestart, err = crowd.Measure(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	if err := out.write(filepath.Join(repo, "_run", "bench")); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", out.markdown())
}

// idleCPU is the share of a processor that a process uses over a while.
func idleCPU(pid int) (float64, error) {
	before, err := witness.CPUTime(pid)
	if err != nil {
		return 0, err
	}
	<-time.After(idlePeriod)
	after, err := witness.CPUTime(pid)
	return (after - before).Seconds() / idlePeriod.Seconds(), err
}

// startLoneFleet starts a fleet without members in a new bed.
func startLoneFleet(t *testing.T, dir, bin string) *testbed.Fleet {
	t.Helper()
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{Dir: dir, Bin: bin, Report: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	fleet, err := bed.StartFleet(t.Context(), testbed.FleetConfig{Args: []string{"--embedded-etcd-unsafe-no-fsync"}})
	if err != nil {
		t.Fatal(err)
	}
	return fleet
}

func (r agentReport) markdown() string {
	yes := map[bool]string{true: "yes", false: "no"}
	const mib = 1 << 20
	return fmt.Sprintf("%d agents with simulated members in one process beside the server, joined in %.1f s:\n\n"+
		"| target | wanted | measured | met |\n|---|---|---|---|\n"+
		"| server's heap per idle agent, after garbage collection | ≤ 1 MiB | %.2f MiB | %s |\n"+
		"| server's resident memory per idle agent | ≤ 1 MiB | %.2f MiB | %s |\n"+
		"| all reconnected (watch, lease, tunnel) after a restart was ready | ≤ 30 s | %.1f s | %s |\n\n"+
		"The server without agents: %s. With them idle: %s, %.0f %% of one CPU. It was ready %.1f s after it was killed; then: %s.\n",
		r.Agents, r.Joined,
		r.PerAgent.Heap/mib, yes[r.PerAgent.Heap <= mib],
		r.PerAgent.Resident/mib, yes[r.PerAgent.Resident <= mib],
		r.Relinked, yes[r.Relinked <= 30],
		r.Before, r.Idle, 100*r.IdleCPU, r.Restarted, r.AfterRestart)
}

func (r agentReport) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // holds reports
		return err
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "agents.json"), append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "agents.md"), []byte(r.markdown()), 0o600)
}
