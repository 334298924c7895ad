// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func demandFor(t *testing.T, cpu string, constraints *Constraints) *Demand {
	t.Helper()
	demand, err := NewDemand(&workv1alpha1.ReplicaRequirements{
		Namespace:       "shop",
		ResourceRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)},
	}, constraints)
	if err != nil {
		t.Fatal(err)
	}
	return demand
}

// sized is a member with nodes of so many CPUs.
func sized(cpus ...int64) *Summary {
	class := clusterv1alpha1.CapacityClass{Name: "a", Nodes: int32(len(cpus))}
	for _, cpu := range cpus {
		class.Free = append(class.Free, clusterv1alpha1.FreeCapacity{Count: 1, Resources: corev1.ResourceList{
			corev1.ResourceCPU:  *resource.NewQuantity(cpu, resource.DecimalSI),
			corev1.ResourcePods: resource.MustParse("100"),
		}})
	}
	return Summarize(&clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{class}}})
}

func TestTake(t *testing.T) {
	port := &Constraints{HostPorts: []corev1.ContainerPort{{HostPort: 80}}}
	cases := map[string]struct {
		reason      string
		from        *Summary
		constraints *Constraints
		taken       int32
		ask         string
		want        int32
	}{
		"Fragments": {
			reason: "Two of 2 CPUs go to a node each, and leave too little on both for another of 2.",
			from:   sized(3, 3), taken: 2, ask: "2", want: 0,
		},
		"OnlyOne": {
			reason: "One leaves the other node as it was.",
			from:   sized(3, 3), taken: 1, ask: "2", want: 1,
		},
		"Roomiest": {
			reason: "What is too much for an even spread goes to the node with most room.",
			from:   sized(8, 4), taken: 3, ask: "4", want: 1,
		},
		"TooMany":  {reason: "What fits nowhere takes nothing more.", from: sized(4), taken: 9, ask: "1", want: 0},
		"Nothing":  {reason: "None takes none.", from: sized(4), ask: "1", want: 4},
		"NoReport": {reason: "Without a report there is nothing to take.", taken: 1, ask: "1"},
		"HostPort": {reason: "A host port that was promised is not free.", from: sized(4, 4, 4), constraints: port, taken: 2, ask: "1", want: 1},
		"Apart": {
			reason: "Pods that keep apart are put on a node each.", from: sized(4, 4, 4),
			constraints: &Constraints{Topology: []Rule{{Key: corev1.LabelHostname, Apart: true}}}, taken: 3, ask: "3", want: 0,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := tc.from.Room(demandFor(t, "1", nil), 0)
			taken := "2"
			if tc.constraints != nil {
				taken = "1500m"
			}
			left := tc.from.Take(Load{Demand: demandFor(t, taken, tc.constraints), Replicas: tc.taken})
			ask := demandFor(t, tc.ask, tc.constraints)
			if got := left.Room(ask, 0); got != tc.want {
				t.Errorf("\n%s\nRoom(...): want %d, got %d", tc.reason, tc.want, got)
			}
			if got := tc.from.Room(demandFor(t, "1", nil), 0); got != before {
				t.Errorf("Take(...) changed the summary it was asked of: room %d became %d", before, got)
			}
		})
	}
}

func TestTakeAddsUp(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	demand := demandFor(t, "2", nil)
	for range 20_000 {
		cpus := make([]int64, 1+random.IntN(5))
		for i := range cpus {
			cpus[i] = random.Int64N(12)
		}
		from := sized(cpus...)
		room := from.Room(demand, 0)
		n := random.Int32N(room + 3)
		left := from.Take(Load{Demand: demand, Replicas: n})
		if got, want := left.Room(demand, 0), max(room-n, 0); got != want {
			t.Fatalf("nodes of %v CPUs have room for %d of 2; after %d are taken: want room for %d, got %d", cpus, room, n, want, got)
		}
		if got, want := left.state().total.at(idOf(corev1.ResourceCPU)), from.state().total.at(idOf(corev1.ResourceCPU))-2000*int64(min(n, room)); got != want {
			t.Fatalf("nodes of %v CPUs after %d were taken: want %dm in total, got %dm", cpus, n, want, got)
		}
	}
}

func TestSets(t *testing.T) {
	cases := map[string]struct {
		reason string
		from   *Summary
		loads  map[string]int32
		want   int32
	}{
		"All":       {reason: "The head and its workers have room beside each other.", from: sized(4, 4), loads: map[string]int32{"4": 1, "2": 2}, want: 1},
		"BigFirst":  {reason: "What is hard to place is placed first: the small one would take the room of the big one.", from: sized(4, 3), loads: map[string]int32{"4": 1, "1": 3}, want: 1},
		"NotBeside": {reason: "Each alone fits, all of them do not.", from: sized(4, 4), loads: map[string]int32{"4": 1, "2": 3}},
		"Twice":     {reason: "Two sets fit.", from: sized(6, 6), loads: map[string]int32{"3": 1, "1": 3}, want: 2},
		"Enough":    {reason: "It is not counted without end.", from: sized(90), loads: map[string]int32{"1": 1}, want: 5},
		"NoReport":  {reason: "Nothing is known to fit.", loads: map[string]int32{"1": 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var loads []Load
			for cpu, n := range tc.loads {
				loads = append(loads, Load{Demand: demandFor(t, cpu, nil), Replicas: n})
			}
			if got := tc.from.Sets(5, loads...); got != tc.want {
				t.Errorf("\n%s\nSets(...): want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

func TestQuotas(t *testing.T) {
	limits := &Constraints{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}
	quota := func(namespace string, remaining corev1.ResourceList, scopes ...corev1.ResourceQuotaScope) clusterv1alpha1.NamespaceQuota {
		return clusterv1alpha1.NamespaceQuota{Namespace: namespace, Name: "q", Scopes: scopes, Remaining: remaining}
	}
	list := func(name corev1.ResourceName, amount string) corev1.ResourceList {
		return corev1.ResourceList{name: resource.MustParse(amount)}
	}
	cases := map[string]struct {
		reason      string
		quota       clusterv1alpha1.NamespaceQuota
		constraints *Constraints
		taken       int32
		want        int32
	}{
		"Elsewhere":  {reason: "The quota of another namespace is no concern.", quota: quota("other", list(corev1.ResourcePods, "0")), want: 10},
		"Pods":       {reason: "A number of Pods is.", quota: quota("shop", list(corev1.ResourcePods, "3")), want: 3},
		"Objects":    {reason: "So is it by its other name.", quota: quota("shop", list("count/pods", "3")), want: 3},
		"CPU":        {reason: "CPU is counted in thousandths.", quota: quota("shop", list(corev1.ResourceCPU, "2500m")), want: 2},
		"Requests":   {reason: "By its other name too.", quota: quota("shop", list(corev1.ResourceRequestsCPU, "2500m")), want: 2},
		"Limits":     {reason: "Limits are counted where there are some.", quota: quota("shop", list(corev1.ResourceLimitsMemory, "4Gi")), constraints: limits, want: 4},
		"Services":   {reason: "What Pods do not take does not matter.", quota: quota("shop", list("services", "0")), want: 10},
		"Scoped":     {reason: "A quota for best effort Pods does not count Pods with requests.", quota: quota("shop", list(corev1.ResourcePods, "0"), corev1.ResourceQuotaScopeBestEffort), want: 10},
		"InScope":    {reason: "One for the others does.", quota: quota("shop", list(corev1.ResourcePods, "2"), corev1.ResourceQuotaScopeNotBestEffort), want: 2},
		"NotEnding":  {reason: "A quota for Pods with a deadline does not count those without.", quota: quota("shop", list(corev1.ResourcePods, "0"), corev1.ResourceQuotaScopeTerminating), want: 10},
		"Ending":     {reason: "It counts those with one.", quota: quota("shop", list(corev1.ResourcePods, "1"), corev1.ResourceQuotaScopeTerminating), constraints: &Constraints{Terminating: true}, want: 1},
		"Promised":   {reason: "What was promised is taken from the quota.", quota: quota("shop", list(corev1.ResourcePods, "3")), taken: 2, want: 1},
		"Overdrawn":  {reason: "A quota that was lowered leaves nothing, not less.", quota: quota("shop", list(corev1.ResourcePods, "1")), taken: 2, want: 0},
		"PromisedIn": {reason: "The nodes have less as well.", quota: quota("shop", list(corev1.ResourcePods, "50")), taken: 4, want: 6},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			status := &clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{
				Classes: []clusterv1alpha1.CapacityClass{{Name: "a", Nodes: 1, Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse("10"), corev1.ResourcePods: resource.MustParse("100"),
				}}}}},
				Quotas: []clusterv1alpha1.NamespaceQuota{tc.quota},
			}}
			demand := demandFor(t, "1", tc.constraints)
			if got := Summarize(status).Take(Load{Demand: demand, Replicas: tc.taken}).Room(demand, 0); got != tc.want {
				t.Errorf("\n%s\nRoom(...): want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

func TestLessQuota(t *testing.T) {
	with := func(quotas ...clusterv1alpha1.NamespaceQuota) *Summary {
		return Summarize(&clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{
			Classes: []clusterv1alpha1.CapacityClass{{Name: "a"}}, Quotas: quotas,
		}})
	}
	pods := func(n string) clusterv1alpha1.NamespaceQuota {
		return clusterv1alpha1.NamespaceQuota{Namespace: "shop", Name: "q", Remaining: corev1.ResourceList{corev1.ResourcePods: resource.MustParse(n)}}
	}
	got := map[string]bool{
		"Raised":  with(pods("1")).Less(with(pods("2"))),
		"Lifted":  with(pods("1")).Less(with()),
		"Same":    with(pods("1")).Less(with(pods("1"))),
		"Lowered": with(pods("2")).Less(with(pods("1"))),
		"New":     with().Less(with(pods("1"))),
	}
	want := map[string]bool{"Raised": true, "Lifted": true, "Same": false, "Lowered": false, "New": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("which changes of a quota may let waiting Pods in: -want, +got:\n%s", diff)
	}
}

func TestYield(t *testing.T) {
	small := demandFor(t, "1", nil)
	pod := func(requirements *workv1alpha1.ReplicaRequirements) *Demand {
		demand, err := NewDemand(requirements, nil)
		if err != nil {
			t.Fatal(err)
		}
		return demand
	}
	cases := map[string]struct {
		reason       string
		in           *Summary
		goes, demand *Demand
		want         int32
	}{
		"Larger":     {reason: "Two of 1 fit in the place of one of 2.", in: sized(4), goes: demandFor(t, "2500m", nil), demand: small, want: 2},
		"Smaller":    {reason: "One of 2 does not fit in the place of one of 1.", in: sized(4), goes: small, demand: demandFor(t, "2", nil)},
		"Nothing":    {reason: "What requests nothing needs a place all the same.", in: sized(4), goes: small, demand: pod(nil), want: 1},
		"HoldsNone":  {reason: "What requests nothing leaves nothing.", in: sized(4), goes: pod(nil), demand: small},
		"OtherNodes": {reason: "It may have run where the other may not.", in: member(), goes: pod(tolerating(nil)), demand: small},
		"SameNodes":  {reason: "All nodes it may run on take the other.", in: member(), goes: small, demand: pod(tolerating(nil)), want: 1},
		"HostPort":   {reason: "Whose port it is cannot be told.", in: sized(4), goes: small, demand: demandFor(t, "1", &Constraints{HostPorts: []corev1.ContainerPort{{HostPort: 80}}})},
		"Apart":      {reason: "Nor who is next to it.", in: sized(4), goes: small, demand: demandFor(t, "1", &Constraints{Topology: []Rule{{Key: corev1.LabelHostname, Apart: true}}})},
		"Unknown":    {reason: "Nothing is known of a member without a report.", goes: small, demand: small},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.in.Yield(tc.goes, tc.demand); got != tc.want {
				t.Errorf("\n%s\nYield(...): want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}
