// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package division

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Unlimited is the Available of a member that takes any number of replicas.
const Unlimited = math.MaxInt32

// Member is one candidate for replicas.
type Member struct {
	// Name of the member.
	Name string
	// Current is the number of replicas it has now.
	Current int32
	// Available is how many fit there beyond Current, at most Unlimited.
	Available int32
	// Weight is its static weight; only ByWeight reads it.
	Weight int64
	// AtLeast is the fewest replicas it is to get, room or not. When there are not
	// as many as all members are to get at least, the first in the list get theirs,
	// those that run some before those that do not.
	AtLeast int32
	// Tier is filled after all lower ones are full, and emptied before they lose
	// any. ByWeight does not read it.
	Tier int
}

// Share is the part of one member.
type Share struct {
	// Name of the member.
	Name string
	// Replicas it is to run, at least 1.
	Replicas int32
}

// InsufficientError says that the members together have too little room.
type InsufficientError struct {
	// Wanted is the number of replicas to be added.
	Wanted int64
	// Available is how many of them would fit.
	Available int64
}

// Error implements error.
func (e *InsufficientError) Error() string {
	return fmt.Sprintf("place %d more replicas: only %d fit", e.Wanted, e.Available)
}

// ByWeight divides by static weights alone: capacity is not looked at, and what runs
// where only to break ties, so that a changed weight takes effect and nothing else
// moves a replica. With no positive weight the members share equally.
func ByWeight(replicas int32, members []Member) []Share {
	weights := make([]int64, len(members))
	for i, m := range members {
		weights[i] = m.Weight
	}
	if !slices.ContainsFunc(weights, positive) {
		weights = ones(len(members))
	}
	return shares(members, apportionAtLeast(int64(replicas), weights, nil, floors(int64(replicas), members), currentOf(members)))
}

// ByCapacity divides in proportion to what is free. Replicas that run stay; only
// the difference is placed or removed. With too little room it returns an
// InsufficientError.
func ByCapacity(replicas int32, members []Member) ([]Share, error) {
	return adjust(replicas, members, grow)
}

// ByCapacityOrBeyond is ByCapacity that never refuses: what fits nowhere is spread
// over the members in proportion to their size and waits there, as Pods wait in
// any cluster that is full.
func ByCapacityOrBeyond(replicas int32, members []Member) []Share {
	// growBeyond has no error to return.
	out, _ := adjust(replicas, members, growBeyond)
	return out
}

// Aggregate divides over as few members as possible: those that run replicas
// first, then those with most room. Replicas that run stay. With too little room
// it returns an InsufficientError.
func Aggregate(replicas int32, members []Member) ([]Share, error) {
	return adjust(replicas, members, growAggregated)
}

// InOrder divides what is counted through: the Pods of a StatefulSet, of which
// the members hold one stretch after the other. Those that run some come first in
// the list, in the order of their stretches. Stretches that have replicas after
// them stay as they are: the last one grows, then other members take the rest, as
// few as have the room, and it is the last that shrinks. The shares are in the order of
// the list, which is that of the stretches. With too little room it returns an
// InsufficientError, or, beyond, has the rest wait in the last.
func InOrder(replicas int32, members []Member, beyond bool) ([]Share, error) {
	wanted := int64(replicas)
	atLeast, seats := floors(wanted, members), currentOf(members)
	last := -1
	for i, n := range seats {
		if n > 0 {
			last = i
		}
		seats[i] = max(n, atLeast[i])
	}
	for i := len(seats) - 1; i >= 0; i-- {
		seats[i] -= max(min(seats[i]-atLeast[i], total(seats)-wanted), 0)
	}
	left := wanted - total(seats)
	if last >= 0 {
		grown := min(left, max(int64(members[last].Available)-(seats[last]-int64(members[last].Current)), 0))
		seats[last] += grown
		left -= grown
	}
	others := slices.Clone(members)
	for i := range others {
		others[i].Available = int32(max(int64(others[i].Available)-seats[i], 0))
		if i <= last {
			others[i].Available = 0
		}
		others[i].Current = 0
	}
	if _, room := available(others); beyond && room < left && len(seats) > 0 {
		seats[max(last, 0)] += left - room
		left = room
	}
	added, err := growTiers(left, others, growAggregated)
	if err != nil {
		return nil, err
	}
	for i := range added {
		seats[i] += added[i]
	}
	return inListOrder(members, seats), nil
}

// growth returns how many of added replicas each member takes.
type growth func(added int64, members []Member) ([]int64, error)

// adjust keeps the current replicas when they are as many as wanted, removes
// proportionally when they are more and asks grow when they are fewer.
func adjust(replicas int32, members []Member, grow growth) ([]Share, error) {
	wanted := int64(replicas)
	atLeast := floors(wanted, members)
	current := currentOf(members)
	if wanted <= total(current) {
		return shares(members, shrink(wanted, members, atLeast)), nil
	}
	seats, grown := make([]int64, len(members)), slices.Clone(members)
	for i := range grown {
		seats[i] = max(current[i], atLeast[i])
		grown[i].Available = int32(max(int64(grown[i].Available)-(seats[i]-current[i]), 0))
		grown[i].Current = int32(seats[i])
	}
	left := wanted - total(seats)
	if left < 0 {
		// Somebody has to give for those that are to get some.
		return shares(members, apportionAtLeast(wanted, current, current, atLeast, nil)), nil
	}
	added, err := growTiers(left, grown, grow)
	if err != nil {
		return nil, err
	}
	for i := range added {
		seats[i] += added[i]
	}
	return shares(members, seats), nil
}

func currentOf(members []Member) []int64 {
	current := make([]int64, len(members))
	for i, m := range members {
		current[i] = int64(m.Current)
	}
	return current
}

// floors returns what each member gets at least, no more than wanted together.
func floors(wanted int64, members []Member) []int64 {
	out := make([]int64, len(members))
	for _, running := range []bool{true, false} {
		for i, m := range members {
			if (m.Current > 0) == running {
				out[i] = min(int64(max(m.AtLeast, 0)), wanted)
				wanted -= out[i]
			}
		}
	}
	return out
}

// shrink keeps as many of the current replicas as wanted: those of lower tiers,
// and inside a tier in proportion.
func shrink(wanted int64, members []Member, atLeast []int64) []int64 {
	seats := make([]int64, len(members))
	reserved := total(atLeast)
	for _, tier := range tiersOf(members) {
		current, floor := make([]int64, len(members)), make([]int64, len(members))
		var most int64
		for i, m := range members {
			if m.Tier == tier {
				current[i], floor[i] = int64(m.Current), atLeast[i]
				most += max(current[i], floor[i])
			}
		}
		reserved -= total(floor)
		kept := min(most, wanted-reserved)
		for i, n := range apportionAtLeast(kept, current, current, floor, nil) {
			seats[i] += n
		}
		wanted -= kept
	}
	return seats
}

// growTiers fills one tier after the other. What is too much for all of them
// together is left to grow.
func growTiers(added int64, members []Member, grow growth) ([]int64, error) {
	tiers := tiersOf(members)
	if _, sum := available(members); sum < added || len(tiers) < 2 {
		return grow(added, members)
	}
	seats := make([]int64, len(members))
	for _, tier := range tiers {
		inTier := slices.Clone(members)
		for i, m := range inTier {
			if m.Tier != tier {
				inTier[i].Available, inTier[i].Current = 0, 0
			}
		}
		_, room := available(inTier)
		part, err := grow(min(added, room), inTier)
		if err != nil {
			return nil, err
		}
		for i := range part {
			seats[i] += part[i]
		}
		added -= total(part)
	}
	return seats, nil
}

// tiersOf returns the tiers there are, lowest first.
func tiersOf(members []Member) []int {
	var tiers []int
	for _, m := range members {
		tiers = append(tiers, m.Tier)
	}
	slices.Sort(tiers)
	return slices.Compact(tiers)
}

func total(of []int64) (sum int64) {
	for _, n := range of {
		sum += n
	}
	return sum
}

func grow(added int64, members []Member) ([]int64, error) {
	room, sum := available(members)
	if sum < added {
		return nil, &InsufficientError{Wanted: added, Available: sum}
	}
	return apportion(added, room, room), nil
}

func growBeyond(added int64, members []Member) ([]int64, error) {
	room, sum := available(members)
	if sum >= added {
		return apportion(added, room, room), nil
	}
	sizes := make([]int64, len(members))
	for i, m := range members {
		sizes[i] = int64(m.Current) + room[i]
	}
	if !slices.ContainsFunc(sizes, positive) {
		sizes = ones(len(members))
	}
	for i, waiting := range apportion(added-sum, sizes, nil) {
		room[i] += waiting
	}
	return room, nil
}

// growAggregated gives room to as few members as needed. Taking the roomiest
// first is optimal: no other set of the same size holds more.
func growAggregated(added int64, members []Member) ([]int64, error) {
	room, sum := available(members)
	if sum < added {
		return nil, &InsufficientError{Wanted: added, Available: sum}
	}
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int {
		inUse := cmp.Compare(min(members[y].Current, 1), min(members[x].Current, 1))
		return cmp.Or(inUse, cmp.Compare(room[y], room[x]))
	})
	chosen := make([]int64, len(members))
	var held int64
	for _, i := range order {
		if members[i].Current == 0 && held >= added {
			break
		}
		chosen[i] = room[i]
		held += room[i]
	}
	return apportion(added, chosen, chosen), nil
}

func available(members []Member) (room []int64, sum int64) {
	room = make([]int64, len(members))
	for i, m := range members {
		room[i] = int64(max(m.Available, 0))
		sum += room[i]
	}
	return room, sum
}

// shares pairs members with their seats, drops the empty ones and sorts by name.
func shares(members []Member, seats []int64) []Share {
	out := inListOrder(members, seats)
	slices.SortFunc(out, func(x, y Share) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

// inListOrder pairs members with their seats and drops the empty ones.
func inListOrder(members []Member, seats []int64) []Share {
	out := make([]Share, 0, len(members))
	for i, m := range members {
		if seats[i] > 0 {
			out = append(out, Share{Name: m.Name, Replicas: int32(seats[i])})
		}
	}
	return out
}

func positive(w int64) bool { return w > 0 }

func ones(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}
