// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package division

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTiersAndFloors(t *testing.T) {
	cases := map[string]struct {
		reason   string
		replicas int32
		members  []Member
		want     []Share
	}{
		"FirstTierFirst": {
			reason: "The second tier gets what the first cannot hold.", replicas: 9,
			members: []Member{{Name: "a", Available: 3}, {Name: "b", Available: 4}, {Name: "c", Available: 90, Tier: 1}},
			want:    []Share{{"a", 3}, {"b", 4}, {"c", 2}},
		},
		"StaysInOverflow": {
			reason: "Room in the first tier takes nothing back.", replicas: 9,
			members: []Member{{Name: "a", Current: 3, Available: 20}, {Name: "c", Current: 6, Tier: 1}},
			want:    []Share{{"a", 3}, {"c", 6}},
		},
		"OverflowGoesFirst": {
			reason: "Shrinking empties the second tier first.", replicas: 7,
			members: []Member{{Name: "a", Current: 6}, {Name: "c", Current: 6, Tier: 1}},
			want:    []Share{{"a", 6}, {"c", 1}},
		},
		"AtLeastOne": {
			reason: "A small member gets its one nevertheless.", replicas: 10,
			members: []Member{{Name: "a", Available: 1000}, {Name: "b", Available: 1, AtLeast: 1}},
			want:    []Share{{"a", 9}, {"b", 1}},
		},
		"KeepsOne": {
			reason: "Shrinking leaves one where one is asked for.", replicas: 3,
			members: []Member{{Name: "a", Current: 50, AtLeast: 1}, {Name: "b", Current: 1, AtLeast: 1}},
			want:    []Share{{"a", 2}, {"b", 1}},
		},
		"Gives": {
			reason: "Who runs all gives one to who is to have one.", replicas: 3,
			members: []Member{{Name: "a", Current: 3}, {Name: "b", Available: 5, AtLeast: 1}},
			want:    []Share{{"a", 2}, {"b", 1}},
		},
		"TooFew": {
			reason: "With too few for all, those who run some come first.", replicas: 1,
			members: []Member{{Name: "a", AtLeast: 1}, {Name: "b", Current: 2, AtLeast: 1}},
			want:    []Share{{"b", 1}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ByCapacity(tc.replicas, tc.members)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("\n%s\nByCapacity(...): %v, -want, +got:\n%s", tc.reason, err, diff)
			}
		})
	}
}

// TestAtLeastEqualsDefinition compares floors with their definition: everybody
// starts with the floor, the rest is handed out one by one.
func TestAtLeastEqualsDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	for range 20_000 {
		n := 1 + random.IntN(5)
		weights, least := make([]int64, n), make([]int64, n)
		for i := range weights {
			weights[i], least[i] = 1+random.Int64N(20), random.Int64N(4)
		}
		left := random.Int64N(40)
		want := slices.Clone(least)
		got := apportionAtLeast(left+total(least), weights, nil, least, nil)
		for ; left > 0; left-- {
			best := 0
			for i, w := range weights {
				if w*(2*want[best]+1) > weights[best]*(2*want[i]+1) {
					best = i
				}
			}
			want[best]++
		}
		if !slices.Equal(want, got) {
			t.Fatalf("apportionAtLeast(%v, %v): one by one %v, got %v", weights, least, want, got)
		}
	}
}
