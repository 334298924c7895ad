// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestCertainWhereverTheyGo puts what was promised on nodes at random, wherever it
// fits: what is certain fits still.
func TestCertainWhereverTheyGo(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	cpus := []string{"500m", "1", "1500m", "2", "3"}
	millis := []int64{500, 1000, 1500, 2000, 3000}
	possible := 0
	const cases = 20_000
	for range cases {
		nodes := make([]int64, 1+random.IntN(4))
		for i := range nodes {
			nodes[i] = 1 + random.Int64N(8)
		}
		member, milli := sized(nodes...), make([]int64, len(nodes))
		for i, cpu := range nodes {
			milli[i] = cpu * 1000
		}
		for range 1 + random.IntN(3) {
			sort, n := random.IntN(len(cpus)), random.IntN(3)
			member = member.Take(Load{Demand: demandFor(t, cpus[sort], nil), Replicas: int32(n)})
			for range n {
				if at := random.IntN(len(milli)); milli[at] >= millis[sort] {
					milli[at] -= millis[sort]
				}
			}
		}
		asked := random.IntN(len(cpus))
		var alone *Constraints
		if random.IntN(4) == 0 {
			alone = &Constraints{Topology: []Rule{{Key: corev1.LabelHostname, Apart: true}}}
		}
		demand := demandFor(t, cpus[asked], alone)
		var fit int64
		for _, left := range milli {
			each := left / millis[asked]
			if alone != nil {
				each = min(each, 1)
			}
			fit += each
		}
		certain := member.Certain(demand, 0)
		if int64(certain) > fit {
			t.Fatalf("nodes of %v CPUs, of which %v are left: %d of %s are certain, %d fit", nodes, milli, certain, cpus[asked], fit)
		}
		if room := member.Room(demand, 0); certain > room {
			t.Fatalf("more is certain (%d) than there is room (%d)", certain, room)
		}
		if certain > 0 {
			possible++
		}
	}
	if possible < cases/4 {
		t.Errorf("anything is certain in %d of %d cases only", possible, cases)
	}
}

func TestCertain(t *testing.T) {
	spread := &Constraints{Topology: []Rule{{Key: "zone", Spread: &Spread{MaxSkew: 1, MinDomains: 1}}}}
	zones := reported([]server{{zone: "a", pods: 6}, {zone: "b", pods: 6}})
	pod := func(t *testing.T, constraints *Constraints) *Demand {
		t.Helper()
		demand, err := NewDemand(nil, constraints)
		if err != nil {
			t.Fatal(err)
		}
		return demand
	}
	cases := map[string]struct {
		reason string
		from   *Summary
		demand *Demand
		taken  []Load
		want   int32
	}{
		"NoReport":  {reason: "Nothing is certain without a report.", demand: pod(t, nil), taken: []Load{{Demand: pod(t, nil), Replicas: 1}}},
		"Untouched": {reason: "Without promises all room is certain.", from: sized(4, 4), demand: demandFor(t, "2", nil), want: 4},
		"Alike":     {reason: "Replicas that are alike take a place each.", from: sized(4, 4), demand: demandFor(t, "2", nil), taken: []Load{{Demand: demandFor(t, "2", nil), Replicas: 3}}, want: 1},
		"Larger":    {reason: "A larger one takes several.", from: sized(4, 4), demand: demandFor(t, "1", nil), taken: []Load{{Demand: demandFor(t, "2500m", nil), Replicas: 1}}, want: 5},
		"Smaller":   {reason: "A small one may take the place of a large one.", from: sized(4, 4), demand: demandFor(t, "4", nil), taken: []Load{{Demand: demandFor(t, "1", nil), Replicas: 1}}, want: 1},
		"Spread":    {reason: "A place that is lost in one zone is lost in the other as well.", from: zones, demand: pod(t, spread), taken: []Load{{Demand: pod(t, nil), Replicas: 2}}, want: 8},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			left := tc.from
			for _, load := range tc.taken {
				left = left.Take(load)
			}
			if got := left.Certain(tc.demand, 0); got != tc.want {
				t.Errorf("\n%s\nCertain(...): want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

func TestCertainOfOtherNodes(t *testing.T) {
	from := member()
	tolerant, err := NewDemand(tolerating(map[string]string{"size": "big"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	small, err := NewDemand(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := from.Take(Load{Demand: tolerant, Replicas: 7})
	if got, want := left.Certain(small, 0), from.Certain(small, 0); got != want {
		t.Errorf("what can run on other nodes only takes nothing: want %d, got %d", want, got)
	}
}

// TestManySorts has more sorts of replicas promised than are told apart.
func TestManySorts(t *testing.T) {
	left := sized(400)
	small := demandFor(t, "1", nil)
	for i := range int64(2 * mostTaken) {
		load := demandFor(t, "1", nil)
		load.each = vector{}.set(idOf(corev1.ResourceCPU), 100+i).set(idOf(corev1.ResourcePods), 1).amounts()
		left = left.Take(Load{Demand: load, Replicas: 1})
	}
	if got := len(left.state().taken); got != mostTaken {
		t.Errorf("sorts told apart: want %d, got %d", mostTaken, got)
	}
	if got, want := left.Certain(small, 0), int32(100-2*mostTaken); got != want {
		t.Errorf("each takes a place: want %d, got %d", want, got)
	}
}
