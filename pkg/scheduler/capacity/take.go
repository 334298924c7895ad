// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"cmp"
	"maps"
	"slices"

	fwk "k8s.io/kube-scheduler/framework"
)

// bin are nodes of one entry of a summary that some replicas fit on.
type bin struct {
	class, entry int
	count        int64 // of nodes
	each         int64 // replicas that fit on each
	fewer, more  int64 // nodes that get the last round less one, and the last round
}

// Load is a number of replicas.
type Load struct {
	// Demand of each.
	Demand *Demand
	// Replicas is how many there are.
	Replicas int32
}

// Sets is how many times all loads fit together, counted up to most. Those that
// are hard to place are placed first.
func (s *Summary) Sets(most int32, loads ...Load) (n int32) {
	room := func(load Load) int32 { return s.Room(load.Demand, 0) }
	ordered := slices.SortedStableFunc(slices.Values(loads), func(a, b Load) int { return cmp.Compare(room(a), room(b)) })
	for left := s; n < most; n++ {
		for _, load := range ordered {
			if left.Room(load.Demand, 0) < load.Replicas {
				return n
			}
			left = left.Take(load)
		}
	}
	return n
}

// Take returns what is left when a load is there that is not yet: its replicas
// apart from each other, those that are too many for an even spread on the nodes
// with most room for them. Replicas that fit nowhere take nothing.
func (s *Summary) Take(load Load) *Summary {
	if s == nil || load.Replicas <= 0 {
		return s
	}
	return &Summary{reported: s.reported, from: s, load: load}
}

func (s *state) take(load Load) *state {
	demand, n := load.Demand, load.Replicas
	left, placed := *s, int64(0)
	bins := s.bins(demand)
	rounds := roundsFor(bins, int64(n))
	for i := range bins {
		placed += bins[i].count * min(bins[i].each, rounds-1)
	}
	spare := int64(n) - placed
	slices.SortStableFunc(bins, func(a, b bin) int { return cmp.Compare(b.each, a.each) })
	for i := range bins {
		b := &bins[i]
		if b.each >= rounds {
			b.more = min(spare, b.count)
			spare -= b.more
		}
		b.fewer = b.count - b.more
	}
	left.classes = slices.Clone(s.classes)
	left.total = slices.Clone(s.total)
	for _, b := range bins {
		left.classes[b.class].free = slices.Clone(left.classes[b.class].free)
	}
	for _, b := range bins {
		left.fill(demand, b, rounds)
	}
	left.quotas = s.takeQuota(demand, int64(n)-spare)
	left.reported, left.taken = cmp.Or(s.reported, s), s.withTaken(demand, int64(n))
	return &left
}

func (s *state) bins(demand *Demand) []bin {
	var bins []bin
	for i := range s.classes {
		if !s.classes[i].admits(demand) {
			continue
		}
		for j := range s.classes[i].free {
			free := &s.classes[i].free[j]
			if each := free.each(demand); each > 0 && free.count > 0 {
				bins = append(bins, bin{class: i, entry: j, count: free.count, each: each})
			}
		}
	}
	return bins
}

// roundsFor is how often nodes are gone through, one replica on each that has
// room, until there are n, or none has room.
func roundsFor(bins []bin, n int64) int64 {
	most := int64(1)
	for _, b := range bins {
		most = max(most, b.each)
	}
	held := func(rounds int64) (sum int64) {
		for _, b := range bins {
			sum += b.count * min(b.each, rounds)
		}
		return sum
	}
	low, high := int64(1), most
	for low < high {
		middle := (low + high) / 2
		if held(middle) >= n {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}

// fill puts the replicas of one bin on its nodes. The classes are the state's own.
func (s *state) fill(demand *Demand, b bin, rounds int64) {
	free := &s.classes[b.class].free
	before := (*free)[b.entry]
	each := min(b.each, rounds-1)
	(*free)[b.entry] = before.with(demand, b.fewer, each)
	if b.more > 0 {
		*free = append(*free, before.with(demand, b.more, rounds))
	}
	s.total = s.total.without(demand.each, b.fewer*each+b.more*rounds)
}

// with is so many of the nodes with replicas on each.
func (n nodes) with(demand *Demand, count, replicas int64) nodes {
	if replicas == 0 {
		return nodes{count: count, resources: n.resources, ports: n.ports}
	}
	taken := nodes{count: count, resources: n.resources.without(demand.each, replicas), ports: n.ports}
	if len(demand.ports) > 0 {
		taken.ports = fwk.HostPortInfo{}
		for ip, ports := range n.ports {
			taken.ports[ip] = maps.Clone(ports)
		}
		for _, port := range demand.ports {
			taken.ports.Add(port.HostIP, string(port.Protocol), port.HostPort)
		}
	}
	return taken
}

func (s *state) takeQuota(demand *Demand, n int64) map[string][]quota {
	if len(s.quotas[demand.namespace]) == 0 {
		return s.quotas
	}
	left := maps.Clone(s.quotas)
	mine := slices.Clone(left[demand.namespace])
	for i, q := range mine {
		if u, ok := q.concerns(demand); ok {
			mine[i].remaining = less(q.remaining, u.each, n)
		}
	}
	left[demand.namespace] = mine
	return left
}

// less is the amounts without n times each of what they have, never less than
// nothing.
func less(amounts, each []amount, n int64) []amount {
	out := slices.Clone(amounts)
	for i, a := range out {
		if taken, ok := find(each, a.id); ok {
			out[i].value = max(a.value-taken*n, 0)
		}
	}
	return out
}
