// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

// setUpTimeout bounds the start of everything.
const setUpTimeout = 4 * time.Minute

// nodesPerMember have room for all pods of both ways at once.
const nodesPerMember = 16

// rig is a fleet over two members with what measures them.
type rig struct {
	bed     *testbed.Bed
	fleet   *testbed.Fleet
	members []*testbed.Member

	fleetClient   kubernetes.Interface
	memberClients map[string]kubernetes.Interface
	etcd          *witness.Etcd
	watcher       *watcher
	// out is the directory for reports.
	out string
}

// newRig starts everything in _run/perf, anew, and stops it when the test ends.
func newRig(t *testing.T) *rig {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{memberClients: map[string]kubernetes.Interface{}, out: filepath.Join(repo, "_run", "bench")}
	if err := os.MkdirAll(r.out, 0o755); err != nil { //nolint:gosec // holds reports
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), setUpTimeout)
	defer cancel()
	config := testbed.Config{Dir: filepath.Join(repo, "_run", "perf"), Bin: filepath.Join(repo, "_bin"), Report: func(line string) { t.Log(line) }}
	if r.bed, err = newBed(ctx, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.bed.Stop(context.WithoutCancel(t.Context())), r.bed.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := r.start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.etcd.Close() })
	return r
}

// newBed opens a new bed in place of what the last run left.
func newBed(ctx context.Context, config testbed.Config) (*testbed.Bed, error) {
	last, err := testbed.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := last.Destroy(ctx); err != nil {
		return nil, err
	}
	return testbed.Open(ctx, config)
}

func (r *rig) start(ctx context.Context) error {
	var err error
	r.fleet, err = r.bed.StartFleet(ctx, testbed.FleetConfig{Args: []string{"--embedded-etcd-unsafe-no-fsync"}})
	if err != nil {
		return err
	}
	r.members, err = r.bed.StartMembers(ctx,
		testbed.MemberConfig{Name: "member1", Nodes: nodesPerMember}, testbed.MemberConfig{Name: "member2", Nodes: nodesPerMember})
	if err != nil {
		return err
	}
	for _, m := range r.members {
		if err := r.fleet.Join(ctx, m); err != nil {
			return err
		}
	}
	return r.fleet.AwaitReady(ctx, r.members...)
}

// connect makes clients, the watcher, and the namespaces of both ways.
func (r *rig) connect(ctx context.Context) error {
	servers := map[string]kubernetes.Interface{}
	fleetConfig, err := r.fleet.RESTConfig()
	if err != nil {
		return err
	}
	if r.fleetClient, err = kubernetes.NewForConfig(fleetConfig); err != nil {
		return err
	}
	servers[fleetPlace] = r.fleetClient
	for _, m := range r.members {
		memberConfig, err := m.RESTConfig()
		if err != nil {
			return err
		}
		memberClient, err := kubernetes.NewForConfig(memberConfig)
		if err != nil {
			return err
		}
		r.memberClients[m.Name()], servers[m.Name()] = memberClient, memberClient
		if err := createNamespace(ctx, memberClient, direct{}.name()); err != nil {
			return err
		}
	}
	if err := createNamespace(ctx, r.fleetClient, throughFleet{}.name()); err != nil {
		return err
	}
	if r.etcd, err = witness.DialEtcd(r.fleet.DataDir()); err != nil {
		return err
	}
	r.watcher, err = newWatcher(ctx, servers)
	return err
}

func createNamespace(ctx context.Context, server kubernetes.Interface, name string) error {
	_, err := server.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

// ways are the two ways, the fleet first.
func (r *rig) ways() []way {
	order := make([]string, len(r.members))
	for i, m := range r.members {
		order[i] = m.Name()
	}
	return []way{throughFleet{r.fleetClient}, direct{r.memberClients, order}}
}

const (
	// stepTimeout bounds the wait for one workload on its own.
	stepTimeout = time.Minute
	// quiet is how long nothing must be written before something is counted.
	quiet = 4 * time.Second
	// quietTimeout bounds the wait for that.
	quietTimeout = 3 * time.Minute
)

// settle waits until nothing but heartbeats is written to the fleet's etcd.
func (r *rig) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	record, err := r.etcd.Record(ctx)
	if err != nil {
		return err
	}
	defer record.Stop()
	seen, since := 0, time.Now()
	tick := time.NewTicker(quiet / 20)
	defer tick.Stop()
	for time.Since(since) < quiet {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the fleet to settle: %w", ctx.Err())
		case <-tick.C:
		}
		changes, err := record.Changes(witness.NotHeartbeat)
		if err != nil {
			return err
		}
		if len(changes) > seen {
			seen, since = len(changes), time.Now()
		}
	}
	return nil
}

// until waits for the time on a channel of the watcher.
func (r *rig) until(ctx context.Context, w workload, what string, reached <-chan time.Time, within time.Duration) (time.Time, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case at := <-reached:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	case <-timer.C:
		return time.Time{}, fmt.Errorf("wait for %s to be %s: not within %s, %s", w.key(), what, within, r.watcher.stateOf(w.key()))
	}
}
