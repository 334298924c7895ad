// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"fleet.dev/fleet/test/e2e/witness"
)

const (
	// steadyPeriod is how long nothing may be written when nothing happens.
	steadyPeriod = 60 * time.Second
	// steadyQuiet is how long it must have been quiet before the period begins:
	// longer than any delay by which components collect changes.
	steadyQuiet = 12 * time.Second
)

// TestSteadyState runs workloads of every sort and then nothing. For a minute there
// is no write to the fleet's etcd but leases, and none to the members at all.
func TestSteadyState(t *testing.T) {
	s := newSpace(t)
	s.kubectl(t, "create", "configmap", "settings", "--from-literal=greeting=hello")
	s.kubectl(t, "create", "deployment", "web", "--image=nginx", "--replicas=6")
	s.kubectl(t, "expose", "deployment", "web", "--port=80")
	s.kubectl(t, "create", "job", "once", "--image=busybox", "--", "sh", "-c", "exit 0")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	s.kubectl(t, "wait", "--for=condition=Complete", "job/once", "--timeout=60s")

	etcd, err := witness.DialEtcd(bed.fleet.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = etcd.Close() }()
	awaitQuiet(t, etcd)

	fleetMark, err := bed.fleetAudit.Mark()
	if err != nil {
		t.Fatal(err)
	}
	marks, err := auditMarks()
	if err != nil {
		t.Fatal(err)
	}
	record, err := etcd.Record(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Stop()
	before, err := etcd.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	<-time.After(steadyPeriod)

	checkEtcd(t, etcd, record, before)
	for _, m := range bed.members {
		writes, err := m.audit.Since(marks[m.Name()], nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(writes) > 0 {
			t.Errorf("the fleet wrote to %s:\n%s", m.Name(), witness.Lines(writes))
		}
	}
	if t.Failed() {
		writes, err := bed.fleetAudit.Since(fleetMark, func(w witness.Write) bool { return w.Resource != "leases" })
		t.Logf("who wrote to the fleet (%v):\n%s", err, witness.Lines(writes))
	}
}

// awaitQuiet waits until nothing but leases has been written to the fleet's etcd
// for a while.
func awaitQuiet(t *testing.T, etcd *witness.Etcd) {
	t.Helper()
	record, err := etcd.Record(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Stop()
	seen, since := 0, time.Now()
	eventually(t, 2*time.Minute, "the fleet's etcd to be quiet", func(context.Context) error {
		changes, err := record.Changes(witness.NotHeartbeat)
		if err != nil {
			return err
		}
		if len(changes) > seen {
			seen, since = len(changes), time.Now()
			return fmt.Errorf("last change: %s", changes[seen-1])
		}
		if quiet := time.Since(since); quiet < steadyQuiet {
			return fmt.Errorf("quiet for %s only", quiet)
		}
		return nil
	})
}

// checkEtcd checks that the recorded changes are leases alone, and that they are
// all there was: etcd's own count is the same.
func checkEtcd(t *testing.T, etcd *witness.Etcd, record *witness.Record, before int64) {
	t.Helper()
	revision, err := etcd.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []witness.Change
	eventually(t, 10*time.Second, "the watch of etcd to catch up", func(context.Context) error {
		var err error
		if all, err = record.Changes(func(c witness.Change) bool { return c.Revision <= revision }); err != nil {
			return err
		}
		if int64(len(all)) < revision-before {
			return fmt.Errorf("%d changes recorded of %d", len(all), revision-before)
		}
		return nil
	})
	others, err := record.Changes(witness.NotHeartbeat)
	if err != nil {
		t.Fatal(err)
	}
	if len(others) > 0 {
		t.Errorf("%d writes to etcd in %s beyond leases:\n%s", len(others), steadyPeriod, witness.ChangeLines(others))
	}
	t.Logf("%d revisions in %s: %v", revision-before, steadyPeriod, witness.ByResource(all))
}
