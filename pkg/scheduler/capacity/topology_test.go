// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// server is a node of the reference.
type server struct {
	zone    string // none when empty
	tainted bool
	down    bool
	pods    int64 // that fit
	port    bool  // somebody holds port 80
}

// reported is what a syncer says of servers: one class for each combination of
// labels and taints.
func reported(servers []server) *Summary {
	classes := map[string]*clusterv1alpha1.CapacityClass{}
	var order []string
	for _, n := range servers {
		name := fmt.Sprint(n.zone, n.tainted)
		c, ok := classes[name]
		if !ok {
			c = &clusterv1alpha1.CapacityClass{Name: name, Labels: map[string]string{"os": "linux"}}
			if n.zone != "" {
				c.Labels["zone"] = n.zone
			}
			if n.tainted {
				c.Taints = []corev1.Taint{{Key: "reserved", Effect: corev1.TaintEffectNoSchedule}}
			}
			classes[name], order = c, append(order, name)
		}
		c.Nodes++
		if n.down {
			continue
		}
		free := clusterv1alpha1.FreeCapacity{Count: 1, Resources: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(n.pods, resource.DecimalSI)}}
		if n.port {
			free.HostPorts = []clusterv1alpha1.HostPort{{Port: 80, Protocol: corev1.ProtocolTCP}}
		}
		c.Free = append(c.Free, free)
	}
	capacity := &clusterv1alpha1.ClusterCapacity{}
	for _, name := range order {
		capacity.Classes = append(capacity.Classes, *classes[name])
	}
	return Summarize(&clusterv1alpha1.ClusterStatus{Capacity: capacity})
}

// world is the reference: Pods are put on single servers one after the other, each
// where the filters of kube-scheduler would let it.
type world struct {
	servers []server
	rule    *Rule
	port    bool
}

func (w world) domain(i int) (string, bool) {
	if w.rule.Key == corev1.LabelHostname {
		return fmt.Sprint(i), true
	}
	return w.servers[i].zone, w.servers[i].zone != ""
}

func (w world) allows(on []int64, i int) bool {
	n := w.servers[i]
	if n.down || n.tainted || on[i] >= n.pods || w.port && (n.port || on[i] > 0) {
		return false
	}
	if w.rule == nil {
		return true
	}
	mine, ok := w.domain(i)
	counts, total := map[string]int64{}, int64(0)
	for j := range w.servers {
		d, has := w.domain(j)
		if !has || w.rule.Spread != nil && w.rule.Spread.Tolerated && w.servers[j].tainted {
			continue
		}
		counts[d] += on[j]
		total += on[j]
	}
	switch {
	case w.rule.Spread != nil:
		if !ok {
			return false
		}
		var least int64 = 1 << 40
		for _, n := range counts {
			least = min(least, n)
		}
		if int64(len(counts)) < w.rule.Spread.MinDomains {
			least = 0
		}
		return counts[mine]+1-least <= w.rule.Spread.MaxSkew
	case w.rule.Apart:
		return !ok || counts[mine] == 0
	default:
		return ok && (total == 0 || counts[mine] > 0)
	}
}

// most is the largest number of Pods that can be put somewhere.
func (w world) most() (most int64) {
	seen := map[string]bool{}
	var walk func(on []int64, n int64)
	walk = func(on []int64, n int64) {
		key := fmt.Sprint(on)
		if seen[key] {
			return
		}
		seen[key] = true
		most = max(most, n)
		for i := range on {
			if w.allows(on, i) {
				next := slices.Clone(on)
				next[i]++
				walk(next, n+1)
			}
		}
	}
	walk(make([]int64, len(w.servers)), 0)
	return most
}

func TestRoomEqualsSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rules := []*Rule{
		nil,
		{Key: corev1.LabelHostname, Apart: true},
		{Key: "zone", Apart: true},
		{Key: corev1.LabelHostname},
		{Key: "zone"},
		{Key: corev1.LabelHostname, Spread: &Spread{MaxSkew: 1, MinDomains: 1}},
		{Key: "zone", Spread: &Spread{MaxSkew: 1, MinDomains: 1}},
		{Key: "zone", Spread: &Spread{MaxSkew: 2, MinDomains: 3}},
		{Key: "zone", Spread: &Spread{MaxSkew: 1, MinDomains: 1, Tolerated: true}},
	}
	const cases = 6_000
	for range cases {
		w := world{rule: rules[random.IntN(len(rules))], port: random.IntN(5) == 0}
		for range 1 + random.IntN(4) {
			w.servers = append(w.servers, server{
				zone: []string{"", "a", "b", "c"}[random.IntN(4)], tainted: random.IntN(6) == 0, down: random.IntN(6) == 0,
				pods: random.Int64N(4), port: random.IntN(4) == 0,
			})
		}
		constraints := &Constraints{}
		if w.rule != nil {
			constraints.Topology = []Rule{*w.rule}
		}
		if w.port {
			constraints.HostPorts = []corev1.ContainerPort{{HostPort: 80, Protocol: corev1.ProtocolTCP}}
		}
		demand, err := NewDemand(&workv1alpha1.ReplicaRequirements{}, constraints)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := int64(reported(w.servers).Room(demand, 0)), w.most(); got != want {
			t.Fatalf("Room(...) of %+v with rule %+v, port %v: want %d, got %d", w.servers, w.rule, w.port, want, got)
		}
	}
}

func TestRoomBesideCurrent(t *testing.T) {
	three := []server{{zone: "a", pods: 5}, {zone: "b", pods: 5}, {zone: "c", pods: 1}}
	cases := map[string]struct {
		reason  string
		servers []server
		rule    Rule
		current int32
		want    int32
	}{
		"ApartByNode": {reason: "Replicas that run have a node each.", servers: three, rule: Rule{Key: corev1.LabelHostname, Apart: true}, current: 2, want: 1},
		"ApartFull":   {reason: "More than there are nodes find none.", servers: three, rule: Rule{Key: corev1.LabelHostname, Apart: true}, current: 4},
		"ApartByZone": {reason: "So it is with zones.", servers: three, rule: Rule{Key: "zone", Apart: true}, current: 1, want: 2},
		"ApartOnFullNodes": {
			reason: "Those that run may be on the nodes that are full: the others are taken to be open.", servers: []server{{pods: 0}, {pods: 5}},
			rule: Rule{Key: corev1.LabelHostname, Apart: true}, current: 1, want: 1,
		},
		"Together": {reason: "The zone they are in is taken to be the roomiest.", servers: three, rule: Rule{Key: "zone"}, current: 2, want: 5},
		"Spread":   {reason: "They are taken to be spread as evenly as can be.", servers: three, rule: Rule{Key: "zone", Spread: &Spread{MaxSkew: 1, MinDomains: 1}}, current: 3, want: 5},
		"TooFewDomains": {
			reason: "With too few domains each holds no more than the skew, those that run included.", servers: three,
			rule: Rule{Key: "zone", Spread: &Spread{MaxSkew: 2, MinDomains: 4}}, current: 3, want: 3,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			demand, err := NewDemand(nil, &Constraints{Topology: []Rule{tc.rule}})
			if err != nil {
				t.Fatal(err)
			}
			if got := reported(tc.servers).Room(demand, tc.current); got != tc.want {
				t.Errorf("\n%s\nRoom(...): want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

func TestSeveralRules(t *testing.T) {
	servers := []server{{zone: "a", pods: 3}, {zone: "a", pods: 3}, {zone: "b", pods: 1}}
	demand, err := NewDemand(nil, &Constraints{Topology: []Rule{
		{Key: corev1.LabelHostname, Apart: true},
		{Key: "zone", Spread: &Spread{MaxSkew: 1, MinDomains: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := reported(servers).Room(demand, 0); got != 3 {
		t.Errorf("one on each node, and two and one in the zones: want 3, got %d", got)
	}
}
