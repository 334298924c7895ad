// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/test/e2e/witness"
)

const (
	// idlePeriod is long enough for the runtime to return memory it no longer needs.
	idlePeriod = 30 * time.Second
	// oneByOne is how many workloads each way runs alone.
	oneByOne = 60
	// counted is how many workloads are counted for each number of members.
	counted = 20
	// batchSize and the order of batches make 500 workloads each way.
	batchSize = 250
	// concurrency is how many clients apply a batch.
	concurrency = 20
	// batchTimeout bounds a batch.
	batchTimeout = 10 * time.Minute
)

const (
	imageOne = "nginx:1.28"
	imageTwo = "nginx:1.29"
)

// TestBench runs everything and writes the report.
func TestBench(t *testing.T) {
	started := time.Now()
	r := newRig(t)
	out := newReport(started)

	warmUp(t, r)
	idle(t, r, out)
	latencies(t, r, out)
	counts(t, r, out)
	placement(t, r, out)
	throughput(t, r, out)
	out.memory(t, r, "after 500 workloads")
	removal(t, r, out)

	out.Seconds = time.Since(started).Seconds()
	if err := out.write(r.out); err != nil {
		t.Fatal(err)
	}
	t.Logf("written to %s\n\n%s", r.out, out.markdown())
}

// warmUp runs a few workloads each way and takes them away again, so that caches
// are filled, connections open, and namespaces made.
func warmUp(t *testing.T, r *rig) {
	t.Helper()
	for i := range 3 {
		for _, way := range r.ways() {
			if _, err := cycle(t.Context(), r, way, fmt.Sprintf("warm-%d", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// idle measures the fleet while nothing happens.
func idle(t *testing.T, r *rig, out *report) {
	t.Helper()
	before, err := r.gauge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(idlePeriod)
	after, err := r.gauge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out.IdleCPU = (after.cpu - before.cpu).Seconds() / idlePeriod.Seconds()
	out.memory(t, r, "idle")
}

// times are how long the steps in the life of one workload took.
type times map[string]time.Duration

// Steps of times. Each is counted from the request that causes it.
const (
	createAcknowledged = "create → acknowledged"
	createApplied      = "create → applied on all members"
	createComplete     = "create → status complete"
	updateApplied      = "update → applied on all members"
	deleteGone         = "delete → gone from all members"
)

// latencies runs workloads one at a time, the ways in turn.
func latencies(t *testing.T, r *rig, out *report) {
	t.Helper()
	ways := r.ways()
	for i := range oneByOne {
		for j := range ways {
			way := ways[(i+j)%len(ways)]
			took, err := cycle(t.Context(), r, way, fmt.Sprintf("one-%d", i))
			if err != nil {
				t.Fatal(err)
			}
			for step, d := range took {
				out.addLatency(step, way.name(), d)
			}
		}
	}
}

// cycle takes one workload through its life.
func cycle(ctx context.Context, r *rig, way way, name string) (times, error) {
	w := workload{namespace: way.name(), name: name, replicas: 2, image: imageOne}
	took := times{}
	if err := create(ctx, r, way, w, took); err != nil {
		return nil, err
	}

	w.image = imageTwo
	reached := r.watcher.expect(w.key(), func(v view) bool { return applied(w, v) })
	began := time.Now()
	if err := way.apply(ctx, w); err != nil {
		return nil, fmt.Errorf("update %s: %w", w.key(), err)
	}
	at, err := r.until(ctx, w, "updated", reached, stepTimeout)
	if err != nil {
		return nil, err
	}
	took[updateApplied] = at.Sub(began)

	reached = r.watcher.expect(w.key(), gone)
	began = time.Now()
	if err := way.remove(ctx, w); err != nil {
		return nil, fmt.Errorf("delete %s: %w", w.key(), err)
	}
	if at, err = r.until(ctx, w, "gone", reached, stepTimeout); err != nil {
		return nil, err
	}
	took[deleteGone] = at.Sub(began)
	return took, nil
}

// create applies a workload for the first time and waits until it runs.
func create(ctx context.Context, r *rig, way way, w workload, took times) error {
	onMembers := r.watcher.expect(w.key(), func(v view) bool { return applied(w, v) })
	running := r.watcher.expect(w.key(), func(v view) bool { return way.complete(w, v) })
	began := time.Now()
	if err := way.apply(ctx, w); err != nil {
		return fmt.Errorf("create %s: %w", w.key(), err)
	}
	took[createAcknowledged] = time.Since(began)
	at, err := r.until(ctx, w, "applied", onMembers, stepTimeout)
	if err != nil {
		return err
	}
	took[createApplied] = at.Sub(began)
	if at, err = r.until(ctx, w, "complete", running, stepTimeout); err != nil {
		return err
	}
	took[createComplete] = at.Sub(began)
	return nil
}

// counts measures what one workload costs, on one member and on two.
func counts(t *testing.T, r *rig, out *report) {
	t.Helper()
	for members := 1; members <= len(r.members); members++ {
		cost, err := count(t.Context(), r, int32(members))
		if err != nil {
			t.Fatal(err)
		}
		out.Costs = append(out.Costs, cost)
	}
}

// count creates workloads one at a time through the fleet and counts. A workload of
// n replicas goes to n members.
func count(ctx context.Context, r *rig, replicas int32) (cost, error) {
	way := r.ways()[0]
	if err := r.settle(ctx); err != nil {
		return cost{}, err
	}
	before, err := r.gauge(ctx)
	if err != nil {
		return cost{}, err
	}
	record, err := r.etcd.Record(ctx)
	if err != nil {
		return cost{}, err
	}
	defer record.Stop()
	var workloads []workload
	for i := range counted {
		w := workload{namespace: way.name(), name: fmt.Sprintf("count-%d-%d", replicas, i), replicas: replicas, image: imageOne}
		if err := create(ctx, r, way, w, times{}); err != nil {
			return cost{}, err
		}
		workloads = append(workloads, w)
	}
	if err := r.settle(ctx); err != nil {
		return cost{}, err
	}
	after, err := r.gauge(ctx)
	if err != nil {
		return cost{}, err
	}
	changes, err := record.Changes(witness.NotHeartbeat)
	if err != nil {
		return cost{}, err
	}
	out := newCost(int(replicas), counted, before, after, changes)
	return out, removeAll(ctx, r, way, workloads)
}

// gauge is the state of all counters.
type gauge struct {
	fleet   witness.Requests
	members witness.Requests
	cpu     time.Duration
}

func (r *rig) gauge(ctx context.Context) (gauge, error) {
	var g gauge
	var err error
	if g.fleet, err = requests(ctx, r.fleetClient); err != nil {
		return gauge{}, err
	}
	for _, memberClient := range r.memberClients {
		one, err := requests(ctx, memberClient)
		if err != nil {
			return gauge{}, err
		}
		g.members = g.members.Plus(one)
	}
	g.cpu, err = witness.CPUTime(r.fleet.Process.PID())
	return g, err
}

func requests(ctx context.Context, server kubernetes.Interface) (witness.Requests, error) {
	return witness.ReadRequests(ctx, server.Discovery().RESTClient())
}

// abba is the order of batches.
func (r *rig) abba() []way {
	ways := r.ways()
	return []way{ways[0], ways[1], ways[1], ways[0]}
}

// placement applies and deletes batches while the members' controllers are stopped,
// so that there are no Pods that take the machine's time.
func placement(t *testing.T, r *rig, out *report) {
	t.Helper()
	for _, m := range r.members {
		if err := m.ControllerManager.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, m := range r.members {
			if err := m.ControllerManager.Resume(); err != nil {
				t.Error(err)
			}
		}
	}()
	for i, way := range r.abba() {
		workloads := batchWorkloads(way, "place", i)
		b, err := batch(t.Context(), r, way, workloads, false)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := removeAll(t.Context(), r, way, workloads); err != nil {
			t.Fatal(err)
		}
		b.Gone = time.Since(began).Seconds()
		out.Placement = append(out.Placement, b)
		t.Logf("placement %d: %s", i+1, b)
	}
}

// throughput applies batches, waits until all of their Pods run, and leaves them.
func throughput(t *testing.T, r *rig, out *report) {
	t.Helper()
	for i, way := range r.abba() {
		b, err := batch(t.Context(), r, way, batchWorkloads(way, "batch", i), true)
		if err != nil {
			t.Fatal(err)
		}
		out.Batches = append(out.Batches, b)
		t.Logf("batch %d: %s", i+1, b)
	}
}

// batch applies many workloads at once and waits until all are applied to the
// members, and if asked for until all run. It begins and ends in quiet.
func batch(ctx context.Context, r *rig, way way, workloads []workload, run bool) (batchResult, error) {
	if err := r.settle(ctx); err != nil {
		return batchResult{}, err
	}
	before, err := r.gauge(ctx)
	if err != nil {
		return batchResult{}, err
	}
	record, err := r.etcd.Record(ctx)
	if err != nil {
		return batchResult{}, err
	}
	defer record.Stop()
	onMembers, running := make([]<-chan time.Time, len(workloads)), make([]<-chan time.Time, len(workloads))
	for i, w := range workloads {
		onMembers[i] = r.watcher.expect(w.key(), func(v view) bool { return applied(w, v) })
		running[i] = r.watcher.expect(w.key(), func(v view) bool { return way.complete(w, v) })
	}
	began := time.Now()
	if err := each(workloads, func(w workload) error { return way.apply(ctx, w) }); err != nil {
		return batchResult{}, err
	}
	out := batchResult{Way: way.name(), Workloads: len(workloads), Acknowledged: time.Since(began).Seconds()}
	if out.Applied, err = r.last(ctx, workloads, "applied", onMembers, began); err != nil {
		return batchResult{}, err
	}
	if run {
		if out.Complete, err = r.last(ctx, workloads, "complete", running, began); err != nil {
			return batchResult{}, err
		}
	}
	if err := r.settle(ctx); err != nil {
		return batchResult{}, err
	}
	after, err := r.gauge(ctx)
	if err != nil {
		return batchResult{}, err
	}
	changes, err := record.Changes(witness.NotHeartbeat)
	if err != nil {
		return batchResult{}, err
	}
	out.Revisions = float64(len(changes)) / float64(len(workloads))
	out.FleetCPU = (after.cpu - before.cpu).Seconds() / float64(len(workloads))
	return out, nil
}

// batchWorkloads are the workloads of a batch: 2, 3, 4 replicas in turn.
func batchWorkloads(way way, prefix string, number int) []workload {
	out := make([]workload, batchSize)
	for i := range out {
		out[i] = workload{namespace: way.name(), name: fmt.Sprintf("%s-%d-%d", prefix, number, i), replicas: int32(2 + i%3), image: imageOne}
	}
	return out
}

// each does something to all workloads with a fixed number of clients and returns
// the first error.
func each(workloads []workload, do func(workload) error) error {
	queue := make(chan workload, len(workloads))
	for _, w := range workloads {
		queue <- w
	}
	close(queue)
	errs := make([]error, concurrency)
	var group sync.WaitGroup
	for i := range concurrency {
		group.Go(func() {
			for w := range queue {
				if err := do(w); err != nil {
					errs[i] = fmt.Errorf("%s: %w", w.key(), err)
					return
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// last waits for all and returns the seconds until the last.
func (r *rig) last(ctx context.Context, workloads []workload, what string, reached []<-chan time.Time, began time.Time) (float64, error) {
	var last time.Time
	for i, w := range workloads {
		at, err := r.until(ctx, w, what, reached[i], batchTimeout-time.Since(began))
		if err != nil {
			return 0, err
		}
		if at.After(last) {
			last = at
		}
	}
	return last.Sub(began).Seconds(), nil
}

// removal deletes what the batches left, batch by batch.
func removal(t *testing.T, r *rig, out *report) {
	t.Helper()
	for number, way := range r.abba() {
		if err := r.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := removeAll(t.Context(), r, way, batchWorkloads(way, "batch", number)); err != nil {
			t.Fatal(err)
		}
		out.Batches[number].Gone = time.Since(began).Seconds()
	}
}

// removeAll deletes workloads and waits until the members have none of them.
func removeAll(ctx context.Context, r *rig, way way, workloads []workload) error {
	reached := make([]<-chan time.Time, len(workloads))
	for i, w := range workloads {
		reached[i] = r.watcher.expect(w.key(), gone)
	}
	began := time.Now()
	if err := each(workloads, func(w workload) error { return way.remove(ctx, w) }); err != nil {
		return err
	}
	_, err := r.last(ctx, workloads, "gone", reached, began)
	return err
}
