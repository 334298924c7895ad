// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"math"
	"slices"
)

// sum adds one counter over the members that pass all filters. Negative counters,
// which no API server stores, count as none.
func sum[S any](members []reported[S], counter func(S) int32, filters ...func(reported[S]) bool) int64 {
	var total int64
members:
	for _, member := range members {
		for _, pass := range filters {
			if !pass(member) {
				continue members
			}
		}
		total += max(0, int64(counter(member.status)))
	}
	return total
}

// sumOptional adds a counter that not every member reports; nil when none does.
func sumOptional[S any](members []reported[S], counter func(S) *int32) *int64 {
	var total *int64
	for _, member := range members {
		value := counter(member.status)
		if value == nil {
			continue
		}
		if total == nil {
			total = new(int64)
		}
		*total += max(0, int64(*value))
	}
	return total
}

// current passes members that reflect the template's generation. What others
// call updated is updated to an earlier template.
func current[S any](member reported[S]) bool { return member.current }

// heard passes members that somebody hears from. What was ready in another one may be
// or not, and counts as not, as the Pods of a node do that the control plane lost.
func heard[S any](member reported[S]) bool { return !member.Unreachable }

// unheard passes the others.
func unheard[S any](member reported[S]) bool { return member.Unreachable }

// copies is how many members run all of the template: 1 unless it is duplicated.
// It brings sums over the members to the scale of the template.
type copies int64

// copiesOf counts the members when each of them runs all replicas there are.
func copiesOf[S any](replicas int32, members []reported[S]) copies {
	if replicas <= 0 {
		return 1
	}
	if all(members, own) || all(members, func(m reported[S]) bool { return m.Replicas == m.Total }) {
		return copies(len(members))
	}
	return 1
}

// own says that a member runs as many replicas as the template says.
func own[S any](member reported[S]) bool { return member.Replicas == 0 }

// outdated says that the scheduler has not seen how many replicas the template
// asks for now, so that members are asked for a share of another number.
func outdated[S any](replicas int32, members []reported[S]) bool {
	return slices.ContainsFunc(members, func(m reported[S]) bool { return !own(m) && m.Total != replicas })
}

// down scales a count of something good: it reaches the template's number only
// when every member reached its own.
func (c copies) down(n int64) int32 { return clamp(n / int64(c)) }

// up scales a count of something that must not be overlooked.
func (c copies) up(n int64) int32 { return clamp((n + int64(c) - 1) / int64(c)) }

// upOptional is up for a counter that may be absent.
func (c copies) upOptional(n *int64) *int32 {
	if n == nil {
		return nil
	}
	scaled := c.up(*n)
	return &scaled
}

func clamp(n int64) int32 { return int32(min(max(n, 0), math.MaxInt32)) }
