// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import "slices"

// taken is a number of replicas that were promised to a member.
type taken struct {
	each    []amount
	count   int64
	classes uint64 // that may hold them, see classesOf
}

// mostTaken is how many sorts of replicas are told apart.
const mostTaken = 32

// Certain is how many more replicas fit where current run already, wherever the
// member puts what was promised to it. It is never more than Room, and the same
// when nothing is promised.
//
// A replica that comes to a node takes away at most as many places as its largest
// share of one of the resources asked for, rounded up.
func (s *Summary) Certain(demand *Demand, current int32) int32 {
	if s == nil {
		return 0
	}
	return s.state().certain(demand, current)
}

func (s *state) certain(demand *Demand, current int32) int32 {
	room := s.room(demand, current)
	if room == 0 || len(s.taken) == 0 {
		return room
	}
	var lost int64
	classes := s.classesOf(demand)
	for _, t := range s.taken {
		if t.classes&classes != 0 {
			lost += t.count * t.takes(demand)
		}
	}
	lost *= s.reported.amplified(demand)
	return int32(max(min(int64(room), s.reported.onNodes(demand, current)-lost), 0))
}

// takes is how many places for others one of the replicas takes away at most.
func (t taken) takes(demand *Demand) (most int64) {
	if demand.alone || len(demand.ports) > 0 {
		return 1
	}
	for _, wanted := range demand.each {
		if takes, ok := find(t.each, wanted.id); ok {
			most = max(most, (takes+wanted.value-1)/wanted.value)
		}
	}
	return most
}

// amplified is how many places a lost place costs: where replicas are spread, the
// fullest domain holds back all others.
func (s *state) amplified(demand *Demand) int64 {
	most := int64(1)
	for _, rule := range demand.topology {
		if rule.Spread == nil {
			continue
		}
		found, _ := s.domainsOf(demand, rule)
		var count int64
		for _, d := range found {
			count += d.count
		}
		most = max(most, count)
	}
	return most
}

// withTaken adds replicas to what was taken. Beyond a number of sorts, two are
// made one that takes as much as either.
func (s *state) withTaken(demand *Demand, n int64) []taken {
	added := taken{each: demand.each, count: n, classes: s.classesOf(demand)}
	all := slices.Clone(s.taken)
	at := slices.IndexFunc(all, func(t taken) bool { return t.classes == added.classes && slices.Equal(t.each, added.each) })
	switch {
	case at >= 0:
		all[at].count += n
	case len(all) < mostTaken:
		all = append(all, added)
	default:
		last := &all[len(all)-1]
		last.each, last.count, last.classes = larger(last.each, added.each), last.count+n, last.classes|added.classes
	}
	return all
}

// classesOf are the classes with nodes for a Pod, one bit each; the last bit
// stands for all that are too many.
func (s *state) classesOf(demand *Demand) (bits uint64) {
	for i := range s.classes {
		if s.classes[i].admits(demand) {
			bits |= 1 << min(i, 63)
		}
	}
	return bits
}

// larger is the larger of the amounts of each resource.
func larger(a, b []amount) []amount {
	var most vector
	for _, x := range slices.Concat(a, b) {
		most = most.set(x.id, max(most.at(x.id), x.value))
	}
	return most.amounts()
}
