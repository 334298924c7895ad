// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/test/testbed"
)

// pollInterval is how often the server is asked: seldom enough not to matter.
const pollInterval = 500 * time.Millisecond

// Names of the server's metrics.
const (
	openTunnels = "fleet_tunnel_connections"
	longRunning = "apiserver_longrunning_requests"
)

// AwaitJoined waits until the fleet calls every member of the crowd ready, and every
// one is linked. It returns how long that took.
func (c *Crowd) AwaitJoined(ctx context.Context, within time.Duration) (time.Duration, error) {
	return c.await(ctx, within, func(ctx context.Context) error {
		clusters, err := c.fleetClient.ClusterV1alpha1().Clusters().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		ready := 0
		for _, cluster := range clusters.Items {
			if meta.IsStatusConditionTrue(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady) {
				ready++
			}
		}
		if ready < len(c.agents) {
			return fmt.Errorf("%d of %d members are ready", ready, len(c.agents))
		}
		return c.linked(ctx, time.Time{})
	})
}

// AwaitLinked waits until every agent has its watch of works, its tunnel, and a lease
// renewed after a moment. It returns how long that took.
func (c *Crowd) AwaitLinked(ctx context.Context, after time.Time, within time.Duration) (time.Duration, error) {
	return c.await(ctx, within, func(ctx context.Context) error { return c.linked(ctx, after) })
}

// await returns how long it took check to succeed.
func (c *Crowd) await(ctx context.Context, within time.Duration, check func(context.Context) error) (time.Duration, error) {
	began := time.Now()
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, within, true, func(ctx context.Context) (bool, error) {
		if err := check(ctx); ctx.Err() == nil {
			last = err
		}
		return last == nil, nil
	})
	if err != nil {
		return 0, fmt.Errorf("wait for %d agents: not within %s: %w", len(c.agents), within, last)
	}
	return time.Since(began), nil
}

// linked checks what the server has of the agents, and that they agree.
func (c *Crowd) linked(ctx context.Context, after time.Time) error {
	families, err := c.readMetrics(ctx)
	if err != nil {
		return err
	}
	watches := sum(families[longRunning], map[string]string{"verb": "WATCH", "resource": "works", "group": "work.fleet.dev"})
	tunnels := sum(families[openTunnels], nil)
	connected := 0
	for _, a := range c.agents {
		if a.Connected() {
			connected++
		}
	}
	n := len(c.agents)
	if watches < n || tunnels < n || connected < n {
		return fmt.Errorf("of %d agents %d watch their works, %d have a tunnel at the server, %d think so", n, watches, tunnels, connected)
	}
	renewed, err := c.renewedLeases(ctx, after)
	if err != nil {
		return err
	}
	if renewed < n {
		return fmt.Errorf("of %d agents %d have renewed their lease", n, renewed)
	}
	return nil
}

func (c *Crowd) renewedLeases(ctx context.Context, after time.Time) (int, error) {
	config, err := c.fleet.RESTConfig()
	if err != nil {
		return 0, err
	}
	fleetKube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	leases, err := fleetKube.CoordinationV1().Leases(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	renewed := 0
	for _, lease := range leases.Items {
		if strings.HasPrefix(lease.Name, "crowd-") && lease.Spec.RenewTime != nil && lease.Spec.RenewTime.After(after) {
			renewed++
		}
	}
	return renewed, nil
}

func (c *Crowd) readMetrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	raw, err := c.metrics.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	return families, nil
}

// sum adds up the gauges of a family with the given labels.
func sum(family *dto.MetricFamily, labels map[string]string) int {
	total := 0.0
	for _, metric := range family.GetMetric() {
		matched := 0
		for _, pair := range metric.GetLabel() {
			if want, asked := labels[pair.GetName()]; asked && want == pair.GetValue() {
				matched++
			}
		}
		if matched == len(labels) {
			total += metric.GetGauge().GetValue()
		}
	}
	return int(total)
}

// Memory is what the server's process uses.
type Memory struct {
	// Heap is the memory of live objects, right after a garbage collection.
	Heap float64
	// Resident is physical memory, garbage and caches of the allocator included.
	Resident float64
	// Goroutines is their number.
	Goroutines int
}

// String is in MiB.
func (m Memory) String() string {
	return fmt.Sprintf("heap %.1f MiB, resident %.1f MiB, %d goroutines", m.Heap/(1<<20), m.Resident/(1<<20), m.Goroutines)
}

// PerAgent is the difference to an earlier measurement, for each of n agents.
func (m Memory) PerAgent(before Memory, n int) Memory {
	return Memory{
		Heap: (m.Heap - before.Heap) / float64(n), Resident: (m.Resident - before.Resident) / float64(n),
		Goroutines: (m.Goroutines - before.Goroutines) / n,
	}
}

// Measure reads the server's memory after it collected its garbage, twice, since
// what finalizers hold is free after the second time only.
func Measure(ctx context.Context, fleet *testbed.Fleet) (Memory, error) {
	config, err := fleet.RESTConfig()
	if err != nil {
		return Memory{}, err
	}
	fleetKube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Memory{}, err
	}
	c := &Crowd{metrics: fleetKube.Discovery().RESTClient()}
	for range 2 {
		if _, err := c.metrics.Get().AbsPath("/debug/pprof/heap").Param("gc", "1").DoRaw(ctx); err != nil {
			return Memory{}, fmt.Errorf("collect garbage: %w", err)
		}
	}
	families, err := c.readMetrics(ctx)
	if err != nil {
		return Memory{}, err
	}
	resident, err := fleet.Process.ResidentBytes()
	return Memory{
		Heap:       families["go_memstats_heap_alloc_bytes"].GetMetric()[0].GetGauge().GetValue(),
		Resident:   float64(resident),
		Goroutines: sum(families["go_goroutines"], nil),
	}, err
}
