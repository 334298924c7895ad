// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fleet.dev/fleet/test/e2e/witness"
)

// report is what a run measured. It is written as JSON; its method markdown sums
// it up.
type report struct {
	Date    time.Time `json:"date"`
	CPUs    int       `json:"cpus"`
	Go      string    `json:"go"`
	Seconds float64   `json:"seconds"`
	// Latencies are in milliseconds, by step and way.
	Latencies map[string]map[string]*latency `json:"latencies"`
	Costs     []cost                         `json:"costs"`
	// Placement are batches with the members' controllers stopped, Batches those
	// whose Pods run.
	Placement []batchResult `json:"placement"`
	Batches   []batchResult `json:"batches"`
	// IdleCPU is the share of one processor the fleet uses when nothing happens.
	IdleCPU float64 `json:"idleCPU"`
	// Memory is resident MiB by process and moment.
	Memory map[string]map[string]float64 `json:"memoryMiB"`
}

// latency is the spread of one step in milliseconds.
type latency struct {
	N       int       `json:"n"`
	P50     float64   `json:"p50"`
	P90     float64   `json:"p90"`
	P99     float64   `json:"p99"`
	Samples []float64 `json:"samples"`
}

// cost is what one workload costs through the fleet, counted over several.
type cost struct {
	Members   int `json:"members"`
	Workloads int `json:"workloads"`
	// Revisions are changes of the fleet's etcd, leases aside, by resource.
	Revisions map[string]float64 `json:"revisions"`
	// FleetRequests are requests to the fleet by sort; Events those that write
	// events. Leases, and watches while they last, are left out.
	FleetRequests map[string]float64 `json:"fleetRequests"`
	Events        float64            `json:"events"`
	// MemberApplies are server-side applies in all members together.
	MemberApplies float64 `json:"memberApplies"`
	// CPU is processor time of the fleet in seconds.
	CPU float64 `json:"cpuSeconds"`
}

// batchResult is how long a batch took, in seconds from its start.
type batchResult struct {
	Way          string  `json:"way"`
	Workloads    int     `json:"workloads"`
	Acknowledged float64 `json:"acknowledged"`
	Applied      float64 `json:"applied"`
	Complete     float64 `json:"complete"`
	Gone         float64 `json:"gone"`
	// Revisions of the fleet's etcd and processor seconds of the fleet, per workload.
	Revisions float64 `json:"revisions"`
	FleetCPU  float64 `json:"fleetCPU"`
}

// String is one line for people.
func (b batchResult) String() string {
	return fmt.Sprintf("%s: %d workloads acknowledged in %.1f s, applied in %.1f s, complete in %.1f s; %.2f revisions and %.3f s of the fleet's CPU each",
		b.Way, b.Workloads, b.Acknowledged, b.Applied, b.Complete, b.Revisions, b.FleetCPU)
}

func newReport(started time.Time) *report {
	return &report{
		Date: started.UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Latencies: map[string]map[string]*latency{}, Memory: map[string]map[string]float64{},
	}
}

func (r *report) addLatency(step, way string, d time.Duration) {
	if r.Latencies[step] == nil {
		r.Latencies[step] = map[string]*latency{}
	}
	l := r.Latencies[step][way]
	if l == nil {
		l = &latency{}
		r.Latencies[step][way] = l
	}
	l.add(float64(d.Microseconds()) / 1000)
}

func (l *latency) add(ms float64) {
	l.Samples = append(l.Samples, ms)
	sorted := slices.Sorted(slices.Values(l.Samples))
	l.N = len(sorted)
	l.P50, l.P90, l.P99 = percentile(sorted, 50), percentile(sorted, 90), percentile(sorted, 99)
}

// percentile is the nearest-rank percentile of sorted samples.
func percentile(sorted []float64, p int) float64 {
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// memory notes the resident memory of every process at a moment.
func (r *report) memory(t *testing.T, rig *rig, moment string) {
	t.Helper()
	for _, p := range rig.bed.Processes() {
		bytes, err := p.ResidentBytes()
		if err != nil {
			t.Fatal(err)
		}
		if r.Memory[p.Name()] == nil {
			r.Memory[p.Name()] = map[string]float64{}
		}
		r.Memory[p.Name()][moment] = float64(bytes) / (1 << 20)
	}
}

func newCost(members, workloads int, before, after gauge, changes []witness.Change) cost {
	c := cost{Members: members, Workloads: workloads, Revisions: map[string]float64{}, FleetRequests: map[string]float64{}}
	per := func(n float64) float64 { return n / float64(workloads) }
	for resource, n := range witness.ByResource(changes) {
		c.Revisions[resource] = per(float64(n))
	}
	requests := after.fleet.Since(before.fleet)
	for _, sort := range requests.Sorted() {
		if sort.Resource != "leases" {
			c.FleetRequests[sort.String()] = per(requests[sort])
		}
	}
	c.Events = per(requests.Total(func(q witness.Request) bool { return q.Resource == "events" && witness.IsWrite(q) }))
	c.MemberApplies = per(after.members.Since(before.members).Total(func(q witness.Request) bool { return q.Verb == "APPLY" }))
	c.CPU = per((after.cpu - before.cpu).Seconds())
	return c
}

func (c cost) revisions() float64 { return sum(c.Revisions) }

func sum(values map[string]float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

// rate is workloads per second of a way over all its batches.
func rate(batches []batchResult, way string, seconds func(batchResult) float64) float64 {
	workloads, total := 0.0, 0.0
	for _, b := range batches {
		if b.Way == way {
			workloads += float64(b.Workloads)
			total += seconds(b)
		}
	}
	return workloads / total
}

// write writes bench.json and bench.md.
func (r *report) write(dir string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.json"), append(raw, '\n'), 0o644); err != nil { //nolint:gosec // for all to read
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bench.md"), []byte(r.markdown()), 0o644) //nolint:gosec // for all to read
}

// markdown is the tables for people.
func (r *report) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Fleet against direct writes to two real members\n\n%s, %d CPUs, %s, %.0f s in all. One run; compare ratios and counts, not times.\n\n",
		r.Date.Format(time.RFC3339), r.CPUs, r.Go, r.Seconds)
	r.targets(&out)
	r.latencyTable(&out)
	r.throughputTable(&out)
	r.costTable(&out)
	r.memoryTable(&out)
	return out.String()
}

// targets are the lines of the design that this benchmark can answer.
func (r *report) targets(out *strings.Builder) {
	create := r.Latencies[createApplied]
	p50 := create["fleet"].P50 / create["direct"].P50
	p99 := create["fleet"].P99 / create["direct"].P99
	placed := against(r.Placement, appliedSeconds)
	busy := against(r.Batches, appliedSeconds)
	sustained := against(r.Batches, completeSeconds)
	flat := r.Costs[len(r.Costs)-1].revisions()
	memory := r.Memory["fleet"]["idle"] / r.Memory["member1/kube-apiserver"]["idle"]
	fmt.Fprintf(out, "| target | wanted | measured | met |\n|---|---|---|---|\n")
	line := func(what, wanted, measured string, met bool) {
		word := "no"
		if met {
			word = "yes"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", what, wanted, measured, word)
	}
	line(fmt.Sprintf("etcd revisions per workload on %d members", len(r.Costs)), "≤ 8", fmt.Sprintf("%.2f", flat), flat <= 8)
	line("the same on 1 member (flat in the number of members)", "equal", fmt.Sprintf("%.2f", r.Costs[0].revisions()), flat-r.Costs[0].revisions() < 1)
	line("create → applied, p50, against direct", "≤ 2×", fmt.Sprintf("%.2f×", p50), p50 <= 2)
	line("create → applied, p99, against direct", "≤ 4×", fmt.Sprintf("%.2f×", p99), p99 <= 4)
	line("sustained placement against direct, until applied, no Pods", "≥ 50 %", fmt.Sprintf("%.0f %%", 100*placed), placed >= 0.5)
	line("sustained placement against direct, until applied, with Pods", "≥ 50 %", fmt.Sprintf("%.0f %%", 100*busy), busy >= 0.5)
	line("sustained placement against direct, until all Pods run", "≥ 50 %", fmt.Sprintf("%.0f %%", 100*sustained), sustained >= 0.5)
	line("idle memory against a plain kube-apiserver", "≤ 1.3×", fmt.Sprintf("%.2f×", memory), memory <= 1.3)
	out.WriteString("\n")
}

func (r *report) latencyTable(out *strings.Builder) {
	fmt.Fprintf(out, "One workload at a time, n = %d, ms:\n\n| step | fleet p50 / p90 / p99 | direct p50 / p90 / p99 | ratio p50 / p90 / p99 |\n|---|---|---|---|\n", oneByOne)
	for _, step := range []string{createAcknowledged, createApplied, createComplete, updateApplied, deleteGone} {
		f, d := r.Latencies[step]["fleet"], r.Latencies[step]["direct"]
		fmt.Fprintf(out, "| %s | %.0f / %.0f / %.0f | %.0f / %.0f / %.0f | %.2f / %.2f / %.2f |\n", step,
			f.P50, f.P90, f.P99, d.P50, d.P90, d.P99, f.P50/d.P50, f.P90/d.P90, f.P99/d.P99)
	}
	out.WriteString("\n")
}

func appliedSeconds(b batchResult) float64  { return b.Applied }
func completeSeconds(b batchResult) float64 { return b.Complete }
func goneSeconds(b batchResult) float64     { return b.Gone }

// against is the rate through the fleet as a share of the direct one.
func against(batches []batchResult, seconds func(batchResult) float64) float64 {
	return rate(batches, "fleet", seconds) / rate(batches, "direct", seconds)
}

func (r *report) throughputTable(out *strings.Builder) {
	fmt.Fprintf(out, "%d workloads each way, %d at once in turn, 2 to 4 replicas, %d clients, per second. Without Pods the members' controllers are stopped;\n"+
		"with them, everything shares the processors with the members' controllers, schedulers and kubelets.\n\n"+
		"| until | fleet | direct | ratio |\n|---|---|---|---|\n", 2*batchSize, batchSize, concurrency)
	for _, row := range []struct {
		name    string
		batches []batchResult
		seconds func(batchResult) float64
	}{
		{"applied on all members, no Pods", r.Placement, appliedSeconds},
		{"gone from all members, no Pods", r.Placement, goneSeconds},
		{"applied on all members", r.Batches, appliedSeconds},
		{"status complete", r.Batches, completeSeconds},
		{"gone from all members", r.Batches, goneSeconds},
	} {
		f, d := rate(row.batches, "fleet", row.seconds), rate(row.batches, "direct", row.seconds)
		fmt.Fprintf(out, "| %s | %.1f | %.1f | %.2f |\n", row.name, f, d, f/d)
	}
	out.WriteString("\n| batch | acknowledged s | applied s | complete s | gone s | etcd revisions per workload | fleet CPU s per workload |\n|---|---|---|---|---|---|---|\n")
	for _, batches := range [][]batchResult{r.Placement, r.Batches} {
		for _, b := range batches {
			complete := "no Pods"
			if b.Complete > 0 {
				complete = fmt.Sprintf("%.1f", b.Complete)
			}
			fmt.Fprintf(out, "| %s | %.1f | %.1f | %s | %.1f | %.2f | %.3f |\n", b.Way, b.Acknowledged, b.Applied, complete, b.Gone, b.Revisions, b.FleetCPU)
		}
	}
	out.WriteString("\n")
}

func (r *report) costTable(out *strings.Builder) {
	out.WriteString("Cost of one workload through the fleet, created alone, until its status is complete:\n\n" +
		"| members | etcd revisions | requests to the fleet | of them events | applies to members | CPU s |\n|---|---|---|---|---|---|\n")
	for _, c := range r.Costs {
		fmt.Fprintf(out, "| %d | %.2f | %.2f | %.2f | %.2f | %.3f |\n", c.Members, c.revisions(), sum(c.FleetRequests), c.Events, c.MemberApplies, c.CPU)
	}
	last := r.Costs[len(r.Costs)-1]
	fmt.Fprintf(out, "\nOn %d members, revisions: %s. Requests: %s.\n\n", last.Members, parts(last.Revisions), parts(last.FleetRequests))
}

// parts lists the parts of a sum, the largest first.
func parts(values map[string]float64) string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if values[a] != values[b] {
			if values[a] > values[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf("%s %.2f", name, values[name])
	}
	return strings.Join(out, ", ")
}

func (r *report) memoryTable(out *strings.Builder) {
	moments := []string{"idle", "after 500 workloads"}
	fmt.Fprintf(out, "The idle fleet uses %.1f %% of one CPU.\n\n", 100*r.IdleCPU)
	fmt.Fprintf(out, "Resident memory, MiB:\n\n| process | %s | %s |\n|---|---|---|\n", moments[0], moments[1])
	names := make([]string, 0, len(r.Memory))
	for name := range r.Memory {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(out, "| %s | %.0f | %.0f |\n", name, r.Memory[name][moments[0]], r.Memory[name][moments[1]])
	}
}
