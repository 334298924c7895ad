// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package parallelize

import (
	"fmt"
	"sync/atomic"
	"testing"
)

func TestUntil(t *testing.T) {
	for _, pieces := range []int{0, 1, worthwhile - 1, worthwhile, 10*worthwhile + 1} {
		done := make([]atomic.Int32, pieces)
		Until(t.Context(), pieces, func(piece int) { done[piece].Add(1) })
		for piece := range done {
			if got := done[piece].Load(); got != 1 {
				t.Errorf("Until(%d): piece %d was done %d times", pieces, piece, got)
			}
		}
	}
}

// BenchmarkUntil is what the pieces of a cycle take.
func BenchmarkUntil(b *testing.B) {
	work := make([]int, 64)
	for _, pieces := range []int{worthwhile - 1, worthwhile, 2000} {
		b.Run(fmt.Sprintf("pieces=%d", pieces), func(b *testing.B) {
			sums := make([]int, pieces)
			for b.Loop() {
				Until(b.Context(), pieces, func(piece int) {
					for i, n := range work {
						sums[piece] += n * i
					}
				})
			}
		})
	}
}
