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

// ByWeight divides by static weights alone: capacity and what runs where are not
// looked at, so that a changed weight takes effect. With no positive weight the
// members share equally.
func ByWeight(replicas int32, members []Member) []Share {
	weights := make([]int64, len(members))
	for i, m := range members {
		weights[i] = m.Weight
	}
	if !slices.ContainsFunc(weights, positive) {
		weights = ones(len(members))
	}
	return shares(members, apportion(int64(replicas), weights, nil))
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

// growth returns how many of added replicas each member takes.
type growth func(added int64, members []Member) ([]int64, error)

// adjust keeps the current replicas when they are as many as wanted, removes
// proportionally when they are more and asks grow when they are fewer.
func adjust(replicas int32, members []Member, grow growth) ([]Share, error) {
	current := make([]int64, len(members))
	var sum int64
	for i, m := range members {
		current[i] = int64(m.Current)
		sum += current[i]
	}
	wanted := int64(replicas)
	if wanted <= sum {
		return shares(members, apportion(wanted, current, current)), nil
	}
	added, err := grow(wanted-sum, members)
	if err != nil {
		return nil, err
	}
	for i := range added {
		added[i] += current[i]
	}
	return shares(members, added), nil
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
	out := make([]Share, 0, len(members))
	for i, m := range members {
		if seats[i] > 0 {
			out = append(out, Share{Name: m.Name, Replicas: int32(seats[i])})
		}
	}
	slices.SortFunc(out, func(x, y Share) int { return cmp.Compare(x.Name, y.Name) })
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
