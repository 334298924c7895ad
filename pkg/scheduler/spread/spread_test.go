// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package spread

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// in is a member of one group in each dimension.
func in(room int64, groups ...string) Member {
	member := Member{Room: room}
	for _, group := range groups {
		member.Groups = append(member.Groups, []string{group})
	}
	return member
}

func TestChoose(t *testing.T) {
	regions := []Member{in(1, "a", "r1"), in(1, "b", "r1"), in(1, "c", "r2"), in(9, "d", "r3")}
	cases := map[string]struct {
		reason  string
		members []Member
		bounds  []Bounds
		room    int64
		want    []int
	}{
		"NoBounds":     {reason: "Without limits all are used.", members: regions, bounds: []Bounds{{}, {}}, want: []int{0, 1, 2, 3}},
		"BestFirst":    {reason: "A limit is used up by the first.", members: regions, bounds: []Bounds{{Most: 2}, {}}, want: []int{0, 1}},
		"TwoRegions":   {reason: "The second member of a region makes way for another region.", members: regions, bounds: []Bounds{{Most: 2}, {Least: 2}}, want: []int{0, 2}},
		"OneRegion":    {reason: "The region of the first member is used whole.", members: regions, bounds: []Bounds{{}, {Most: 1}}, want: []int{0, 1}},
		"RoomDecides":  {reason: "The region of the first has too little room.", members: regions, bounds: []Bounds{{}, {Most: 1}}, room: 5, want: []int{3}},
		"NoRoom":       {reason: "Room nowhere is no reason to choose nothing.", members: regions, bounds: []Bounds{{}, {Most: 1}}, room: 50, want: []int{0, 1}},
		"TooFewGroups": {reason: "Fewer groups than asked for is no choice.", members: regions, bounds: []Bounds{{}, {Least: 4}}},
		"NoGroup":      {reason: "A member outside all regions is not used.", members: []Member{{Groups: [][]string{{"a"}, nil}}, in(1, "b", "r1")}, bounds: []Bounds{{}, {}}, want: []int{1}},
		"NoMembers":    {reason: "There is nothing to choose from.", bounds: []Bounds{{}}},
		"SeveralZones": {
			reason:  "A member in several zones uses all of them.",
			members: []Member{{Groups: [][]string{{"a"}, {"z1", "z2", "z3"}}}, {Groups: [][]string{{"b"}, {"z1", "z2"}}}, {Groups: [][]string{{"c"}, {"z2"}}}},
			bounds:  []Bounds{{}, {Least: 2, Most: 2}},
			want:    []int{1, 2},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(tc.members, tc.bounds, tc.room)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("\n%s\nChoose(...): %v, -want, +got:\n%s", tc.reason, err, diff)
			}
		})
	}
}

// bruteForce is the definition in doc.go.
func bruteForce(members []Member, bounds []Bounds, room int64) []int {
	best := -1
	for _, need := range []int64{room, 0} {
		for set := 1; set < 1<<len(members); set++ {
			if valid(members, bounds, need, set) && (best < 0 || before(set, best, len(members))) {
				best = set
			}
		}
		if best >= 0 {
			break
		}
	}
	var out []int
	for i := range members {
		if best >= 0 && best&(1<<i) != 0 {
			out = append(out, i)
		}
	}
	return out
}

// before compares two choices member by member.
func before(a, b, n int) bool {
	for i := range n {
		if bit := 1 << i; a&bit != b&bit {
			return a&bit != 0
		}
	}
	return false
}

func valid(members []Member, bounds []Bounds, room int64, set int) bool {
	for d, b := range bounds {
		used := map[string]bool{}
		for i, member := range members {
			if set&(1<<i) == 0 {
				continue
			}
			if len(member.Groups[d]) == 0 {
				return false
			}
			for _, group := range member.Groups[d] {
				used[group] = true
			}
		}
		if len(used) < b.Least || b.Most > 0 && len(used) > b.Most {
			return false
		}
	}
	for i, member := range members {
		if set&(1<<i) != 0 {
			room -= member.Room
		}
	}
	return room <= 0
}

// randomCase has members, regions, zones that may be several, and providers that
// cut across.
func randomCase(random *rand.Rand, most int) ([]Member, []Bounds, int64) {
	bounds := make([]Bounds, 1+random.IntN(4))
	for d := range bounds {
		if random.IntN(2) == 0 {
			bounds[d].Least = 1 + random.IntN(3)
		}
		if random.IntN(2) == 0 {
			bounds[d].Most = bounds[d].Least + random.IntN(3)
		}
	}
	members := make([]Member, random.IntN(most+1))
	for i := range members {
		region := random.IntN(3)
		groups := [][]string{{fmt.Sprint(i)}, {fmt.Sprint(region)}, nil, {fmt.Sprint(random.IntN(3))}}
		for range 1 + random.IntN(2) {
			groups[2] = append(groups[2], fmt.Sprintf("%d-%d", region, random.IntN(3)))
		}
		if random.IntN(20) == 0 {
			groups[1] = nil
		}
		members[i] = Member{Groups: groups[:len(bounds)], Room: random.Int64N(5)}
	}
	return members, bounds, random.Int64N(12)
}

func TestChooseEqualsBruteForce(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 30_000 {
		members, bounds, room := randomCase(random, 8)
		got, err := Choose(members, bounds, room)
		if diff := cmp.Diff(bruteForce(members, bounds, room), got); diff != "" || err != nil {
			t.Fatalf("Choose(%v, %v, %d): %v, -brute force, +got:\n%s", members, bounds, room, err, diff)
		}
	}
}

// world is regions of members in two zones each, and providers across them.
func world(regions, each int) []Member {
	random := rand.New(rand.NewPCG(9, 10))
	members := make([]Member, 0, regions*each)
	for i := range regions * each {
		region := i % regions
		members = append(members, in(random.Int64N(20), fmt.Sprint(i), fmt.Sprint(region), fmt.Sprintf("%d-%d", region, i/regions%2), fmt.Sprint(random.IntN(3))))
	}
	random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return members
}

func TestChooseInALargeFleet(t *testing.T) {
	members := world(50, 20)
	cases := map[string]struct {
		bounds []Bounds
		room   int64
	}{
		"Regions":        {bounds: []Bounds{{Least: 1, Most: 20}, {Least: 10, Most: 12}, {}, {}}},
		"ZonesInRegions": {bounds: []Bounds{{Most: 12}, {Most: 5}, {Least: 10}, {}}},
		"AllRegions":     {bounds: []Bounds{{Most: 50}, {Least: 50}, {}, {Least: 3}}},
		"Room":           {bounds: []Bounds{{Most: 40}, {Most: 4}, {}, {}}, room: 500},
		"MostRoom":       {bounds: []Bounds{{Most: 10}, {Least: 5}, {}, {Most: 2}}, room: 150},
		"Providers":      {bounds: []Bounds{{Most: 30}, {Least: 20, Most: 25}, {Least: 25}, {Least: 2, Most: 2}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			chosen, err := Choose(members, tc.bounds, tc.room)
			if err != nil || chosen == nil {
				t.Fatalf("Choose(...): %v, %v", chosen, err)
			}
			var room int64
			for d, b := range tc.bounds {
				used := map[string]bool{}
				for _, i := range chosen {
					used[members[i].Groups[d][0]] = true
				}
				if len(used) < b.Least || b.Most > 0 && len(used) > b.Most {
					t.Errorf("dimension %d uses %d groups, bounds %+v", d, len(used), b)
				}
			}
			for _, i := range chosen {
				room += members[i].Room
			}
			if room < tc.room {
				t.Errorf("room: want %d, got %d", tc.room, room)
			}
		})
	}
}

func BenchmarkChoose(b *testing.B) {
	members := world(50, 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Choose(members, []Bounds{{Least: 1, Most: 20}, {Least: 10, Most: 12}, {}, {}}, 100); err != nil {
			b.Fatal(err)
		}
	}
}
