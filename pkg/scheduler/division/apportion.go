// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package division

import (
	"container/heap"
	"math/bits"
	"slices"
)

// maxWeightSum keeps twice the sum of weights inside 64 bits.
const maxWeightSum = uint64(1) << 62

// apportion hands out total seats in proportion to weights, at most caps[i] to
// the i-th; nil caps mean no limit. A weight of 0 gets nothing. The seats handed
// out are fewer than total only when every weighted entry reached its cap.
//
// The definition is: one seat at a time to the highest weight/(2*seats+1), the
// first entry winning ties. The code jumps close to the end of that process by a
// threshold on the quotient and walks only the last seats, so its cost does not
// grow with total.
func apportion(total int64, weights, caps []int64) []int64 {
	return apportionAnew(total, weights, caps, nil)
}

// apportionAnew is apportion where the i-th has current[i] seats already: of a tie
// wins who has that very seat.
func apportionAnew(total int64, weights, caps, current []int64) []int64 {
	a := &apportionment{seats: make([]int64, len(weights)), weights: fitWeights(weights), caps: caps, current: current}
	if total <= 0 {
		return a.seats
	}
	left := total
	for jumped := true; jumped; {
		left, jumped = a.jump(total)
	}
	a.walk(left)
	return a.seats
}

// apportionAtLeast is apportionAnew with at least floors[i] seats for the i-th,
// whatever its weight and cap. The floors are no more than total together.
func apportionAtLeast(total int64, weights, caps, floors, current []int64) []int64 {
	weights = slices.Clone(weights)
	held := make([]int64, len(weights))
	for {
		left := total
		for _, n := range held {
			left -= n
		}
		seats := apportionAnew(left, weights, caps, current)
		short := false
		for i, floor := range floors {
			if held[i] == 0 && seats[i] < floor {
				// Its share is less than it gets: it is out of the division.
				held[i], weights[i], short = floor, 0, true
			}
		}
		if short {
			continue
		}
		for i := range seats {
			seats[i] += held[i]
		}
		return seats
	}
}

// apportionment is the state of one division in progress.
type apportionment struct {
	seats   []int64
	weights []uint64
	caps    []int64
	current []int64
}

// fitWeights returns the weights scaled so that their sum stays in range.
// Negative weights count as 0.
func fitWeights(weights []int64) []uint64 {
	out := make([]uint64, len(weights))
	shift := uint(bits.Len(uint(len(weights))))
	var highest uint64
	for i, w := range weights {
		out[i] = uint64(max(w, 0))
		highest = max(highest, out[i])
	}
	if highest <= maxWeightSum>>shift {
		return out
	}
	for i, w := range out {
		if w > 0 {
			out[i] = max(w>>shift, 1)
		}
	}
	return out
}

func (a *apportionment) open(i int) bool {
	return a.weights[i] > 0 && (a.caps == nil || a.seats[i] < a.caps[i])
}

// jump gives every open entry the seats whose quotient is above a threshold that
// surely leaves none over. It reports the seats left, and whether an entry
// reached its cap, which makes another jump worth while.
func (a *apportionment) jump(total int64) (left int64, capped bool) {
	left = total
	var sum uint64
	var open int64
	for i := range a.seats {
		if a.open(i) {
			sum += a.weights[i]
			open++
			continue
		}
		left -= a.seats[i]
	}
	if open == 0 || 2*left <= open {
		return a.remaining(total), false
	}
	factor := uint64(2*left - open)
	for i := range a.seats {
		if !a.open(i) {
			continue
		}
		a.seats[i] = max(a.seats[i], seatsAbove(a.weights[i], factor, sum))
		if a.caps != nil && a.seats[i] >= a.caps[i] {
			a.seats[i] = a.caps[i]
			capped = true
		}
	}
	return a.remaining(total), capped
}

// seatsAbove counts the seats s with weight/(2*s+1) > sum/factor.
func seatsAbove(weight, factor, sum uint64) int64 {
	hi, lo := bits.Mul64(weight, factor)
	lo, borrow := bits.Sub64(lo, sum, 0)
	hi, borrow = bits.Sub64(hi, 0, borrow)
	if borrow != 0 {
		return 0
	}
	quotient, rest := bits.Div64(hi, lo, 2*sum)
	if rest > 0 {
		quotient++
	}
	return int64(quotient)
}

func (a *apportionment) remaining(total int64) int64 {
	for _, s := range a.seats {
		total -= s
	}
	return total
}

// walk hands out the last seats one by one.
func (a *apportionment) walk(left int64) {
	queue := &quotients{apportionment: a}
	for i := range a.seats {
		if a.open(i) {
			queue.order = append(queue.order, i)
		}
	}
	heap.Init(queue)
	for ; left > 0 && len(queue.order) > 0; left-- {
		i := queue.order[0]
		a.seats[i]++
		if a.open(i) {
			heap.Fix(queue, 0)
			continue
		}
		heap.Pop(queue)
	}
}

// quotients is a heap of entries, the one with the next claim first.
type quotients struct {
	*apportionment
	order []int
}

var _ heap.Interface = (*quotients)(nil)

// Len is the number of entries that still take seats.
func (q *quotients) Len() int { return len(q.order) }

// Less compares weight/(2*seats+1) without rounding.
func (q *quotients) Less(x, y int) bool {
	i, j := q.order[x], q.order[y]
	iHi, iLo := bits.Mul64(q.weights[i], uint64(2*q.seats[j]+1))
	jHi, jLo := bits.Mul64(q.weights[j], uint64(2*q.seats[i]+1))
	if iHi != jHi {
		return iHi > jHi
	}
	if iLo != jLo {
		return iLo > jLo
	}
	if q.has(i) != q.has(j) {
		return q.has(i)
	}
	return i < j
}

// has reports whether an entry has the seat that it would get next.
func (a *apportionment) has(i int) bool { return a.current != nil && a.current[i] > a.seats[i] }

// Swap exchanges two entries.
func (q *quotients) Swap(x, y int) { q.order[x], q.order[y] = q.order[y], q.order[x] }

// Push is part of heap.Interface; entries are only removed.
func (q *quotients) Push(x any) { q.order = append(q.order, x.(int)) }

// Pop removes the last entry of the slice.
func (q *quotients) Pop() any {
	last := q.order[len(q.order)-1]
	q.order = q.order[:len(q.order)-1]
	return last
}
