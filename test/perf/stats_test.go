// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	cases := map[string]struct {
		reason string
		sorted []float64
		want   [3]float64
	}{
		"One":     {"one sample is every percentile", []float64{7}, [3]float64{7, 7, 7}},
		"Ten":     {"the nearest rank is a sample, never between two", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, [3]float64{5, 9, 10}},
		"Outlier": {"p99 of few samples is the worst", []float64{1, 1, 1, 1, 90}, [3]float64{1, 90, 90}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := [3]float64{percentile(tc.sorted, 50), percentile(tc.sorted, 90), percentile(tc.sorted, 99)}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: p50, p90, p99: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestShare(t *testing.T) {
	for replicas := range int32(9) {
		var total int32
		for i := range 3 {
			total += share(replicas, i, 3)
		}
		if total != replicas {
			t.Errorf("shares of %d replicas add up to %d", replicas, total)
		}
	}
}
