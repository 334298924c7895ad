// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// instantBindings answers every write at once, as the API server would.
type instantBindings struct {
	bindingClient
	version atomic.Int64
	writes  atomic.Int64
}

func (i *instantBindings) Create(_ context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	binding.SetUID(types.UID(i.next()))
	binding.SetGeneration(1)
	return i.written(binding), nil
}

func (i *instantBindings) Patch(_ context.Context, binding workv1alpha1.Binding, patch []byte) (workv1alpha1.Binding, error) {
	var operations []patchOperation
	if err := json.Unmarshal(patch, &operations); err != nil {
		return nil, err
	}
	patched := binding.DeepCopyObject().(workv1alpha1.Binding)
	for _, operation := range operations {
		if operation.Path == "/spec/clusters" {
			patched.GetSpec().Clusters = nil
			if err := json.Unmarshal(operation.Value, &patched.GetSpec().Clusters); err != nil {
				return nil, err
			}
		}
	}
	patched.SetGeneration(binding.GetGeneration() + 1)
	return i.written(patched), nil
}

func (i *instantBindings) written(binding workv1alpha1.Binding) workv1alpha1.Binding {
	i.writes.Add(1)
	binding.SetResourceVersion(i.next())
	return binding
}

func (i *instantBindings) next() string { return strconv.FormatInt(i.version.Add(1), 10) }

// speed is one row of the table that BenchmarkScheduler prints.
type speed struct {
	name     string
	members  int
	policies int
	// placement of each policy, nil for the zero-policy default alone.
	placement func(i int) policyv1alpha1.Placement
	// byLabel has all policies select by label; else every other one does by name.
	byLabel bool
	// decisions that are timed, each about another template.
	decisions int
	// least are the decisions per second there have to be.
	least float64
}

// only, a regular expression of rows to measure, is for work on one of them.
var only = flag.String("bench-rows", "", "regular expression of the rows of BenchmarkScheduler to measure")

// regions members of the benchmarks are in.
const regions = 20

func inRegion(i int) *policyv1alpha1.ClusterAffinity {
	return &policyv1alpha1.ClusterAffinity{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"region": fmt.Sprintf("r%d", i%regions)}}}
}

func dividedIn(affinity *policyv1alpha1.ClusterAffinity) policyv1alpha1.Placement {
	return policyv1alpha1.Placement{ClusterAffinity: affinity, ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
		ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
		WeightPreference: &policyv1alpha1.ClusterPreferences{DynamicWeight: policyv1alpha1.DynamicWeightByAvailableReplicas},
	}}
}

var speeds = []speed{
	{name: "auto", members: 2, decisions: 2000, least: 1000},
	{name: "auto", members: 100, decisions: 2000, least: 1000},
	{name: "divided by room", members: 100, policies: 1000, decisions: 2000, least: 1000, placement: func(i int) policyv1alpha1.Placement { return dividedIn(inRegion(i)) }},
	{name: "auto", members: 2000, decisions: 1000, least: 200},
	{name: "divided by room in a region", members: 2000, policies: 10_000, decisions: 1000, least: 200, placement: func(i int) policyv1alpha1.Placement { return dividedIn(inRegion(i)) }},
	{name: "divided by room everywhere", members: 2000, policies: 10_000, decisions: 1000, least: 200, placement: func(int) policyv1alpha1.Placement { return dividedIn(nil) }},
	{name: "selected by expression", members: 2000, policies: 10_000, decisions: 1000, least: 200, placement: func(i int) policyv1alpha1.Placement {
		return dividedIn(&policyv1alpha1.ClusterAffinity{Expression: fmt.Sprintf(`cluster.metadata.labels["region"] == "r%d"`, i%regions)})
	}},
	{name: "spread over 3 of 20 regions", members: 2000, policies: 10_000, decisions: 1000, least: 200, placement: func(int) policyv1alpha1.Placement {
		placement := dividedIn(nil)
		placement.SpreadConstraints = []policyv1alpha1.SpreadConstraint{
			{SpreadByField: policyv1alpha1.SpreadByFieldRegion, MinGroups: 3, MaxGroups: 3}, {SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: 3, MaxGroups: 10},
		}
		return placement
	}},
	{name: "duplicated in a region", members: 2000, policies: 10_000, decisions: 1000, least: 200, placement: func(i int) policyv1alpha1.Placement {
		return policyv1alpha1.Placement{ClusterAffinity: inRegion(i)}
	}},
	{name: "duplicated everywhere", members: 2000, policies: 10_000, decisions: 500, least: 200, placement: func(int) policyv1alpha1.Placement { return policyv1alpha1.Placement{} }},
}

// measured is what came out of a row.
type measured struct {
	perSecond, again float64 // decisions about new templates, and about the same ones again
	bytes, allocs    float64 // per decision about a new template
}

// BenchmarkScheduler measures decisions on a fleet in memory, their writes answered at
// once: what the scheduler itself costs. It prints a table and fails when a target is
// missed. "make bench-scheduler" runs it.
func BenchmarkScheduler(b *testing.B) {
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	defer table.Flush() //nolint:errcheck // standard output
	row := func(cells ...any) { _, _ = fmt.Fprintln(table, joined(cells)) }
	row("DECISIONS", "MEMBERS", "POLICIES", "TARGET/s", "NEW/s", "UNCHANGED/s", "KiB EACH", "ALLOCS EACH", "")
	rows := regexp.MustCompile(*only)
	for _, s := range speeds {
		if !rows.MatchString(s.name) {
			continue
		}
		got := s.measure(b)
		row(s.name, s.members, s.policies, s.least, fmt.Sprintf("%.0f", got.perSecond), fmt.Sprintf("%.0f", got.again),
			fmt.Sprintf("%.0f", got.bytes/1024), fmt.Sprintf("%.0f", got.allocs), verdict(b, s.name, min(got.perSecond, got.again) >= s.least))
	}
	if !rows.MatchString("label") {
		return
	}
	row()
	row("ONE LABEL OF ONE MEMBER CHANGES", "MEMBERS", "BINDINGS", "AFFECTED", "DECIDED AGAIN", "WRITES", "MILLISECONDS")
	change := changeLabel(b, 1000, 50_000)
	row("", change.members, change.bindings, change.affected, change.decided, change.writes, change.took.Milliseconds(), verdict(b, "label change", change.decided == change.affected))
}

func joined(cells []any) string {
	var out string
	for _, cell := range cells {
		out += fmt.Sprint(cell) + "\t"
	}
	return out
}

func verdict(b *testing.B, of string, met bool) string {
	b.Helper()
	if met {
		return "ok"
	}
	b.Errorf("%s: the target is missed", of)
	return "MISSED"
}

// batches of decisions are timed on their own, and the fastest counts: what else the
// machine does is not the scheduler's.
const batches = 5

// measure decides about new templates, then about the same ones again.
func (s speed) measure(b *testing.B) measured {
	b.Helper()
	h := s.harness(b)
	defer h.queue.ShutDown()
	keys := make([]template.Key, 0, s.decisions)
	for i := range s.decisions {
		keys = append(keys, h.benchTemplate(i))
	}
	decide := func() (fastest float64) {
		for batch := range slices.Chunk(keys, len(keys)/batches) {
			fastest = max(fastest, h.decideAll(batch))
		}
		return fastest
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out := measured{perSecond: decide()}
	runtime.ReadMemStats(&after)
	out.bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(len(keys))
	out.allocs = float64(after.Mallocs-before.Mallocs) / float64(len(keys))
	if written := h.bindings.(*instantBindings).writes.Load(); written != int64(len(keys)) {
		b.Fatalf("%s: want one write per decision, got %d for %d", s.name, written, len(keys))
	}
	out.again = decide()
	if written := h.bindings.(*instantBindings).writes.Load(); written != int64(len(keys)) {
		b.Fatalf("%s: a decision that is the same was written", s.name)
	}
	return out
}

// decideAll decides about some templates and returns how many that were per second.
func (h *harness) decideAll(keys []template.Key) float64 {
	// Namespaces that something landed in come after what is measured.
	h.drain()
	for _, key := range keys {
		h.queue.Add(key)
	}
	start := time.Now()
	for range keys {
		h.scheduleOne(h.ctx)
	}
	h.inFlight.Wait()
	return float64(len(keys)) / time.Since(start).Seconds()
}

// harness has the members and policies of a row.
func (s speed) harness(b *testing.B) *harness {
	b.Helper()
	h := benchHarness(b, s.members)
	for i := range s.policies {
		p := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: benchNamespace(i), Name: fmt.Sprintf("p%d", i), UID: types.UID(fmt.Sprint(i))}}
		selector := policyv1alpha1.ResourceSelector{APIVersion: "apps/v1", Kind: "Deployment", Name: fmt.Sprintf("app-%d", i)}
		if s.byLabel || i%2 == 0 {
			selector.Name, selector.LabelSelector = "", &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("app-%d", i)}}
		}
		p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{selector}
		p.Spec.Placement = s.placement(i)
		h.setPropagation(h.ctx, p)
	}
	return h
}

func benchHarness(b *testing.B, members int) *harness {
	b.Helper()
	h := newHarness(b)
	h.autoPolicy()
	for i := range members {
		place := func(c *clusterv1alpha1.Cluster) {
			c.Spec.Region = fmt.Sprintf("r%d", i%regions)
			c.Labels = map[string]string{"region": c.Spec.Region, "env": "prod", "tier": "a"}
			c.Spec.Taints = nil
		}
		h.member(fmt.Sprintf("member%04d", i), pods(int64(100_000-i)), place)
	}
	h.bindings = &instantBindings{}
	return h
}

func benchNamespace(i int) string { return fmt.Sprintf("ns-%d", i%100) }

// benchTemplate stores a Deployment without telling the scheduler.
func (h *harness) benchTemplate(i int) template.Key {
	object := deployment(fmt.Sprintf("app-%d", i), 10)
	object.Namespace, object.UID = benchNamespace(i), types.UID(strconv.Itoa(i))
	object.Labels = map[string]string{"app": object.Name, "team": fmt.Sprintf("t%d", i%7)}
	object.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}
	kind, _ := h.fleet.Kind(template.Key{Group: "apps", Kind: "Deployment"}.GroupKind())
	t := template.New(kind.Version, object, kind.Read(object))
	h.fleet.templates[t.Key()] = t
	return t.Key()
}

// labelChange is what a changed label of one member came to.
type labelChange struct {
	members, bindings, affected, decided int
	writes                               int64
	took                                 time.Duration
}

// changeLabel moves one of many members from one region to another, of which each is
// selected by some of the policies.
func changeLabel(b *testing.B, members, bindings int) labelChange {
	b.Helper()
	const policies = 1000
	s := speed{members: members, policies: policies, byLabel: true, placement: func(i int) policyv1alpha1.Placement {
		placement := policyv1alpha1.Placement{ClusterAffinity: inRegion(i)}
		placement.SpreadConstraints = []policyv1alpha1.SpreadConstraint{{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MaxGroups: 2}}
		return placement
	}}
	h := s.harness(b)
	defer h.queue.ShutDown()
	out := labelChange{members: members, bindings: bindings}
	for i := range bindings {
		t := h.benchTemplateOf(i, i%policies)
		if region := i % policies % regions; region == 0 || region == 1 {
			out.affected++
		}
		h.queue.Add(t)
	}
	h.drain()
	written := h.bindings.(*instantBindings).writes.Load()
	start := time.Now()
	h.member("member0000", pods(100_000), func(c *clusterv1alpha1.Cluster) {
		c.Spec.Region = "r1"
		c.Labels = map[string]string{"region": "r1", "env": "prod", "tier": "a"}
	})
	for quiet := time.Now(); time.Since(quiet) < time.Second; {
		if n := h.drain(); n > 0 {
			out.decided += n
			quiet = time.Now()
			out.took = quiet.Sub(start)
		}
		runtime.Gosched()
	}
	out.writes = h.bindings.(*instantBindings).writes.Load() - written
	return out
}

// drain decides about all there is, and returns about how many that was.
func (h *harness) drain() (decided int) {
	for ; h.queue.Len() > 0; decided++ {
		h.scheduleOne(h.ctx)
		if h.queue.Len() == 0 {
			h.inFlight.Wait()
		}
	}
	return decided
}

// benchTemplateOf stores a Deployment that a policy of the benchmarks picks by label.
func (h *harness) benchTemplateOf(i, policy int) template.Key {
	object := deployment(fmt.Sprintf("copy-%d", i), 1)
	object.Namespace, object.UID = benchNamespace(policy), types.UID(strconv.Itoa(i))
	object.Labels = map[string]string{"app": fmt.Sprintf("app-%d", policy)}
	kind, _ := h.fleet.Kind(template.Key{Group: "apps", Kind: "Deployment"}.GroupKind())
	t := template.New(kind.Version, object, kind.Read(object))
	h.fleet.templates[t.Key()] = t
	return t.Key()
}
