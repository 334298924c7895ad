// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package crowd_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"fleet.dev/fleet/test/e2e/crowd"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	agents = 50
	// memoryPerAgent is what an idle agent may keep alive in the server, in bytes.
	// Resident memory depends on when garbage was collected; it is reported.
	memoryPerAgent = 1 << 20
	// reconnect is how soon all must be back after a restart of the server.
	reconnect = 30 * time.Second
	// joined bounds the time until all are.
	joined = 2 * time.Minute
)

// TestCrowd joins many agents, looks at what they cost, and restarts the server.
func TestCrowd(t *testing.T) {
	fleet := startFleet(t)
	before, err := crowd.Measure(t.Context(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	c := crowd.Start(t, fleet, agents)
	took, err := c.AwaitJoined(t.Context(), joined)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d agents joined in %s", agents, took.Round(100*time.Millisecond))
	after, err := crowd.Measure(t.Context(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	each := after.PerAgent(before, agents)
	t.Logf("the server without agents: %s; with: %s; per agent: %s", before, after, each)
	if each.Heap > memoryPerAgent {
		t.Errorf("live objects of an idle agent take %.2f MiB at the server, want at most %d", each.Heap/(1<<20), memoryPerAgent>>20)
	}

	if err := fleet.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	took, err = c.AwaitLinked(t.Context(), back, 2*reconnect)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("all linked again %s after the restarted server was ready", took.Round(100*time.Millisecond))
	if took > reconnect {
		t.Errorf("all agents are linked again %s after a restart, want %s", took, reconnect)
	}
}

// startFleet starts a fleet without members.
func startFleet(t *testing.T) *testbed.Fleet {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{
		Dir: filepath.Join(repo, "_run", "e2e-crowd"), Bin: filepath.Join(repo, "_bin"), Report: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		end := bed.Destroy
		if t.Failed() {
			end = bed.Stop // logs stay
		}
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
	fleet, err := bed.StartFleet(t.Context(), testbed.FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return fleet
}
