// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package division

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInOrder(t *testing.T) {
	cases := map[string]struct {
		reason   string
		replicas int32
		members  []Member
		beyond   bool
		want     []Share
		wantErr  error
	}{
		"LastGrows": {
			reason: "Only the last stretch has free numbers after it.", replicas: 9,
			members: []Member{{Name: "b", Current: 3, Available: 90}, {Name: "a", Current: 3, Available: 9}},
			want:    []Share{{"b", 3}, {"a", 6}},
		},
		"NextMember": {
			reason: "When the last is full, another member goes on.", replicas: 9,
			members: []Member{{Name: "b", Current: 3, Available: 90}, {Name: "a", Current: 3, Available: 1}, {Name: "c", Available: 5}},
			want:    []Share{{"b", 3}, {"a", 4}, {"c", 2}},
		},
		"LastShrinks": {
			reason: "The highest numbers go first.", replicas: 2,
			members: []Member{{Name: "b", Current: 3}, {Name: "a", Current: 3}},
			want:    []Share{{"b", 2}},
		},
		"AtLeast": {
			reason: "Each keeps what it is to have.", replicas: 3,
			members: []Member{{Name: "b", Current: 3, AtLeast: 1}, {Name: "a", Current: 3, AtLeast: 1}},
			want:    []Share{{"b", 2}, {"a", 1}},
		},
		"Insufficient": {
			reason: "Room before the last stretch is of no use.", replicas: 9,
			members: []Member{{Name: "b", Current: 3, Available: 90}, {Name: "a", Current: 3, Available: 1}},
			wantErr: &InsufficientError{Wanted: 2, Available: 0},
		},
		"Beyond": {
			reason: "Or the rest waits in the last.", replicas: 9, beyond: true,
			members: []Member{{Name: "b", Current: 3, Available: 90}, {Name: "a", Current: 3, Available: 1}},
			want:    []Share{{"b", 3}, {"a", 6}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := InOrder(tc.replicas, tc.members, tc.beyond)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nInOrder(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(fmt.Sprint(tc.wantErr), fmt.Sprint(err)); diff != "" {
				t.Errorf("\n%s\nInOrder(...): -want error, +got error:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestInOrderKeepsStretches scales at random and expects every number that is in
// use before and after in the member it was in.
func TestInOrderKeepsStretches(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 16))
	for range 30_000 {
		members := randomMembers(random)
		for i := range members {
			members[i].AtLeast, members[i].Tier = 0, 0
			if i > 0 && members[i-1].Current == 0 {
				members[i].Current = 0
			}
		}
		before := numbers(members)
		replicas, beyond := random.Int32N(100), random.IntN(2) == 0
		got, err := InOrder(replicas, members, beyond)
		if err != nil && !beyond {
			continue
		}
		var shares []Member
		for _, s := range got {
			shares = append(shares, Member{Name: s.Name, Current: s.Replicas})
		}
		after := numbers(shares)
		if err != nil || len(after) != int(replicas) {
			t.Fatalf("InOrder(%d, %+v) = %v, %v", replicas, members, got, err)
		}
		for n := range min(len(before), len(after)) {
			if before[n] != after[n] {
				t.Fatalf("InOrder(%d, %+v) = %v: number %d moves", replicas, members, got, n)
			}
		}
	}
}

// numbers returns the member of each number.
func numbers(members []Member) (out []string) {
	for _, m := range members {
		for range m.Current {
			out = append(out, m.Name)
		}
	}
	return out
}
