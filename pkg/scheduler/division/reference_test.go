// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package division

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEqualsReference compares divisions of few replicas over few members with
// definitions that are simple and slow.
func TestEqualsReference(t *testing.T) {
	for name, divide := range divisions {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(11, 12))
			for range 10_000 {
				members := make([]Member, 1+random.IntN(4))
				for i := range members {
					members[i] = Member{
						Name: string(rune('a' + i)), Current: random.Int32N(5), Available: random.Int32N(6), Weight: random.Int64N(4), Tier: random.IntN(2),
					}
				}
				replicas := random.Int32N(24)
				got, err := divide(replicas, members)
				want := reference(name, replicas, members)
				if (err != nil) != (want == nil) {
					t.Fatalf("%s(%d, %+v): %v, reference %v", name, replicas, members, err, want)
				}
				if err == nil && !slices.Equal(got, want) {
					t.Fatalf("%s(%d, %+v): got %v, reference %v", name, replicas, members, got, want)
				}
			}
		})
	}
}

// reference divides one replica at a time, nil when there is no room.
func reference(name string, replicas int32, members []Member) []Share {
	seats := make([]int64, len(members))
	if name == "ByWeight" {
		weights := make([]int64, len(members))
		for i, m := range members {
			weights[i] = m.Weight
		}
		if total(weights) == 0 {
			weights = ones(len(members))
		}
		return shares(members, apportionAnewOneByOne(int64(replicas), weights, nil, currentOf(members)))
	}
	current, room := currentOf(members), make([]int64, len(members))
	for i, m := range members {
		room[i] = int64(m.Available)
	}
	left := int64(replicas)
	if left <= total(current) {
		for tier := range 2 {
			kept := inTier(current, members, tier)
			for i, n := range apportionOneByOne(min(left, total(kept)), kept, kept) {
				seats[i] += n
			}
			left = max(left-total(kept), 0)
		}
		return shares(members, seats)
	}
	left -= total(current)
	if left > total(room) {
		if name != "ByCapacityOrBeyond" {
			return nil
		}
		sizes := make([]int64, len(members))
		for i := range sizes {
			sizes[i] = current[i] + room[i]
		}
		if total(sizes) == 0 {
			sizes = ones(len(members))
		}
		for i, n := range apportionOneByOne(left-total(room), sizes, nil) {
			seats[i] = current[i] + room[i] + n
		}
		return shares(members, seats)
	}
	copy(seats, current)
	for tier := range 2 {
		within := inTier(room, members, tier)
		part := min(left, total(within))
		left -= part
		if name == "Aggregate" {
			within = fewest(part, within, members)
		}
		for i, n := range apportionOneByOne(part, within, within) {
			seats[i] += n
		}
	}
	return shares(members, seats)
}

func inTier(of []int64, members []Member, tier int) []int64 {
	out := make([]int64, len(of))
	for i, m := range members {
		if m.Tier == tier {
			out[i] = of[i]
		}
	}
	return out
}

// fewest tries every set of members that run nothing yet, beside those that do,
// and keeps the room of the smallest that holds all; of several the one with the
// most room, then the first.
func fewest(added int64, room []int64, members []Member) []int64 {
	var best []int64
	bestSize := len(members) + 1
	for set := range 1 << len(members) {
		var held []int64
		size := 0
		for i, m := range members {
			switch chosen := set&(1<<i) != 0; {
			case m.Current > 0:
				held = append(held, room[i])
			case chosen && room[i] > 0:
				size++
				held = append(held, room[i])
			default:
				held = append(held, 0)
			}
		}
		if total(held) < added {
			continue
		}
		better := size < bestSize || size == bestSize && (total(held) > total(best) || total(held) == total(best) && slices.Compare(held, best) > 0)
		if better {
			best, bestSize = held, size
		}
	}
	return best
}
