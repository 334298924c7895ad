// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placedaffinity

import (
	"testing"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestScore(t *testing.T) {
	for placed, want := range map[bool]int64{true: framework.MaxScore, false: 0} {
		got, status := PlacedAffinity{}.Score(t.Context(), &framework.Request{}, &framework.Candidate{Placed: placed})
		if got != want || status != nil {
			t.Errorf("Score(placed %v): want %d, got %d and %v", placed, want, got, status.Err())
		}
	}
}
