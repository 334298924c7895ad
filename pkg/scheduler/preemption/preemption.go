// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"cmp"
	"maps"
	"slices"
)

// Candidate is replicas of one workload that may be taken away.
type Candidate struct {
	// Priority of the workload.
	Priority int32
	// Replicas there are.
	Replicas int32
	// Yield is how many replicas fit in the place of one, at least 1; of all of them
	// together when Whole is set.
	Yield int32
	// Whole says that all of them go, or none.
	Whole bool
}

// Choose returns how many replicas of each candidate go so that short more fit; nil
// when all of them together do not make so much room. Candidates of the same
// priority are taken in their order where it makes no difference.
func Choose(short int64, candidates []Candidate) []int32 {
	var yield int64
	levels := map[int32][]int{}
	for i, c := range candidates {
		levels[c.Priority] = append(levels[c.Priority], i)
		yield += c.yield()
	}
	if short <= 0 || yield < short {
		return nil
	}
	gone := make([]int32, len(candidates))
	for _, priority := range slices.Backward(slices.Sorted(maps.Keys(levels))) {
		level := levels[priority]
		for _, i := range level {
			yield -= candidates[i].yield()
		}
		// What those of lower priority cannot give has to come from here.
		if needed := short - yield; needed > 0 {
			short -= fewest(needed, candidates, level, gone)
		}
	}
	return gone
}

// yield is the room that all replicas of the candidate make.
func (c Candidate) yield() int64 {
	if c.Whole {
		return int64(c.Yield)
	}
	return int64(c.Yield) * int64(c.Replicas)
}

// mostChoices bounds the choices of candidates that go as a whole which are looked
// at: decisions wait for each other.
const mostChoices = 50_000

// whole is a choice of candidates that go as a whole.
type whole struct {
	yield  int64
	chosen []int
}

// fewest takes as few replicas of the candidates of one level as make the room
// needed, and of the choices of so few the one that makes most. It returns the
// room made.
func fewest(needed int64, candidates []Candidate, level []int, gone []int32) int64 {
	singles, wholes := split(candidates, level)
	// made[n] is the room that n single replicas make.
	made := []int64{0}
	for _, i := range singles {
		for range candidates[i].Replicas {
			if made[len(made)-1] >= needed {
				break
			}
			made = append(made, made[len(made)-1]+int64(candidates[i].Yield))
		}
	}
	count, choice := best(needed, made, combine(candidates, wholes))
	for _, i := range choice.chosen {
		gone[i] = candidates[i].Replicas
	}
	left := int32(count)
	for _, i := range singles {
		gone[i] = min(left, candidates[i].Replicas)
		left -= gone[i]
	}
	return made[count] + choice.yield
}

// split returns the candidates of a level that go one by one, those that make most
// room first, and those that go as a whole.
func split(candidates []Candidate, level []int) (singles, wholes []int) {
	for _, i := range level {
		if candidates[i].Whole {
			wholes = append(wholes, i)
		} else {
			singles = append(singles, i)
		}
	}
	slices.SortStableFunc(singles, func(a, b int) int { return cmp.Compare(candidates[b].Yield, candidates[a].Yield) })
	return singles, wholes
}

// combine returns the choice of wholes that makes most room for each number of
// replicas that they have together. Of very many it returns some good ones.
func combine(candidates []Candidate, wholes []int) map[int]whole {
	if choicesOf(candidates, wholes) > mostChoices {
		return prefer(candidates, wholes)
	}
	choices := map[int]whole{0: {}}
	for _, i := range wholes {
		next := maps.Clone(choices)
		for cost, choice := range choices {
			cost += int(candidates[i].Replicas)
			yield := choice.yield + int64(candidates[i].Yield)
			if known, ok := next[cost]; !ok || yield > known.yield || yield == known.yield && slices.Compare(append(slices.Clone(choice.chosen), i), known.chosen) < 0 {
				next[cost] = whole{yield: yield, chosen: append(slices.Clone(choice.chosen), i)}
			}
		}
		choices = next
	}
	return choices
}

// choicesOf is how many choices combine looks at, at most.
func choicesOf(candidates []Candidate, wholes []int) int64 {
	var replicas int64
	for _, i := range wholes {
		replicas += int64(candidates[i].Replicas)
	}
	count := int64(len(wholes))
	if count < 32 {
		replicas = min(replicas, 1<<count)
	}
	return count * replicas
}

// prefer returns each whole by itself, and those that make most room for a replica
// together: the first of them, the first two, and so on to all.
func prefer(candidates []Candidate, wholes []int) map[int]whole {
	order := slices.Clone(wholes)
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := candidates[a], candidates[b]
		return cmp.Compare(int64(y.Yield)*int64(x.Replicas), int64(x.Yield)*int64(y.Replicas))
	})
	choices := map[int]whole{0: {}}
	offer := func(cost int, choice whole) {
		if known, ok := choices[cost]; !ok || choice.yield > known.yield {
			choices[cost] = choice
		}
	}
	var cost int
	var yield int64
	for n, i := range order {
		c := candidates[i]
		cost, yield = cost+int(c.Replicas), yield+int64(c.Yield)
		offer(cost, whole{yield: yield, chosen: order[:n+1]})
		offer(int(c.Replicas), whole{yield: int64(c.Yield), chosen: order[n : n+1]})
	}
	return choices
}

// best returns how many single replicas go, and which wholes: those with the fewest
// replicas that make the room needed.
func best(needed int64, made []int64, choices map[int]whole) (singles int, chosen whole) {
	fewest, most := -1, int64(0)
	for _, cost := range slices.Sorted(maps.Keys(choices)) {
		choice := choices[cost]
		n, enough := slices.BinarySearchFunc(made, needed-choice.yield, func(a, b int64) int { return cmp.Compare(a, b) })
		if !enough && n == len(made) {
			continue
		}
		total, yield := cost+n, made[n]+choice.yield
		if fewest < 0 || total < fewest || total == fewest && yield > most {
			fewest, most, singles, chosen = total, yield, n, choice
		}
	}
	return singles, chosen
}
