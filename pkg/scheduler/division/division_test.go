// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package division

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestByWeight(t *testing.T) {
	cases := map[string]struct {
		reason   string
		replicas int32
		members  []Member
		want     []Share
	}{
		"Exact": {
			reason:   "Weights that divide evenly are followed to the letter.",
			replicas: 9,
			members:  []Member{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}},
			want:     []Share{{"a", 3}, {"b", 6}},
		},
		"TieGoesToFirst": {
			reason:   "Equal claims go to the member listed first.",
			replicas: 3,
			members:  []Member{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}},
			want:     []Share{{"a", 2}, {"b", 1}},
		},
		"NoWeightMeansEqual": {
			reason:   "Without any weight the members share equally.",
			replicas: 4,
			members:  []Member{{Name: "a"}, {Name: "b"}},
			want:     []Share{{"a", 2}, {"b", 2}},
		},
		"ZeroWeightGetsNothing": {
			reason:   "A member without weight among weighted ones is left out.",
			replicas: 4,
			members:  []Member{{Name: "a", Weight: 5}, {Name: "b"}},
			want:     []Share{{"a", 4}},
		},
		"HugeWeights": {
			reason:   "Weights near the top of the range do not overflow.",
			replicas: 10,
			members:  []Member{{Name: "a", Weight: math.MaxInt64}, {Name: "b", Weight: math.MaxInt64}},
			want:     []Share{{"a", 5}, {"b", 5}},
		},
		"ChangedWeightsTakeEffect": {
			reason:   "Static weights decide, not what runs where.",
			replicas: 4,
			members:  []Member{{Name: "a", Weight: 1, Current: 4}, {Name: "b", Weight: 3}},
			want:     []Share{{"a", 1}, {"b", 3}},
		},
		"TieGoesToHolder": {
			reason:   "The order of the list says who is first at first; it moves nothing later.",
			replicas: 3,
			members:  []Member{{Name: "a", Weight: 1, Current: 1}, {Name: "b", Weight: 1, Current: 2}},
			want:     []Share{{"a", 1}, {"b", 2}},
		},
		"NoReplicas": {
			reason:  "Nothing to place is no share.",
			members: []Member{{Name: "a", Weight: 1}},
			want:    []Share{},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ByWeight(tc.replicas, tc.members)); diff != "" {
				t.Errorf("\n%s\nByWeight(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestByCapacity(t *testing.T) {
	cases := map[string]struct {
		reason   string
		replicas int32
		members  []Member
		want     []Share
		wantErr  error
	}{
		"EqualMembers": {
			reason:   "Two equal members run half each.",
			replicas: 6,
			members:  []Member{{Name: "a", Available: 220}, {Name: "b", Available: 220}},
			want:     []Share{{"a", 3}, {"b", 3}},
		},
		"GrowPlacesTheDifference": {
			reason:   "Three more replicas go to what is free; the six that run stay.",
			replicas: 9,
			members:  []Member{{Name: "a", Current: 3, Available: 100}, {Name: "b", Current: 3, Available: 200}},
			want:     []Share{{"a", 4}, {"b", 5}},
		},
		"ShrinkKeepsProportions": {
			reason:   "Half of the replicas is half on each member, whatever is free.",
			replicas: 6,
			members:  []Member{{Name: "a", Current: 8, Available: 1000}, {Name: "b", Current: 4}},
			want:     []Share{{"a", 4}, {"b", 2}},
		},
		"Unchanged": {
			reason:   "Nothing moves while the number stays, however uneven.",
			replicas: 5,
			members:  []Member{{Name: "a", Current: 5}, {Name: "b", Available: 1000}},
			want:     []Share{{"a", 5}},
		},
		"CapsBind": {
			reason:   "A small member is filled, the rest goes to the others.",
			replicas: 10,
			members:  []Member{{Name: "a", Available: 1}, {Name: "b", Available: 100}, {Name: "c", Available: 0}},
			want:     []Share{{"b", 10}},
		},
		"Insufficient": {
			reason:   "Too little room is an error that says how much fits.",
			replicas: 10,
			members:  []Member{{Name: "a", Current: 2, Available: 3}},
			wantErr:  &InsufficientError{Wanted: 8, Available: 3},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ByCapacity(tc.replicas, tc.members)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nByCapacity(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(fmt.Sprint(tc.wantErr), fmt.Sprint(err)); diff != "" {
				t.Errorf("\n%s\nByCapacity(...): -want error, +got error:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestByCapacityOrBeyond(t *testing.T) {
	cases := map[string]struct {
		reason   string
		replicas int32
		members  []Member
		want     []Share
	}{
		"Fits": {
			reason:   "With room it is ByCapacity.",
			replicas: 3,
			members:  []Member{{Name: "a", Available: 10}, {Name: "b", Available: 20}},
			want:     []Share{{"a", 1}, {"b", 2}},
		},
		"Overflow": {
			reason:   "Members are filled first, the rest waits in proportion to their size.",
			replicas: 9,
			members:  []Member{{Name: "a", Available: 2}, {Name: "b", Available: 4}},
			want:     []Share{{"a", 3}, {"b", 6}},
		},
		"NothingFree": {
			reason:   "Full members of unknown size share equally.",
			replicas: 4,
			members:  []Member{{Name: "a"}, {Name: "b"}},
			want:     []Share{{"a", 2}, {"b", 2}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ByCapacityOrBeyond(tc.replicas, tc.members)); diff != "" {
				t.Errorf("\n%s\nByCapacityOrBeyond(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAggregate(t *testing.T) {
	cases := map[string]struct {
		reason   string
		replicas int32
		members  []Member
		want     []Share
		wantErr  error
	}{
		"OneIsEnough": {
			reason:   "The roomiest member takes all it can hold.",
			replicas: 6,
			members:  []Member{{Name: "a", Available: 10}, {Name: "b", Available: 20}},
			want:     []Share{{"b", 6}},
		},
		"InUseFirst": {
			reason:   "A member that runs replicas is preferred to a roomier one.",
			replicas: 6,
			members:  []Member{{Name: "a", Available: 10, Current: 1}, {Name: "b", Available: 20}},
			want:     []Share{{"a", 6}},
		},
		"TwoNeeded": {
			reason:   "When one cannot hold all, the next roomiest joins.",
			replicas: 25,
			members:  []Member{{Name: "a", Available: 10}, {Name: "b", Available: 20}, {Name: "c", Available: 5}},
			want:     []Share{{"a", 8}, {"b", 17}},
		},
		"Insufficient": {
			reason:   "Too little room is an error.",
			replicas: 40,
			members:  []Member{{Name: "a", Available: 10}, {Name: "b", Available: 20}},
			wantErr:  &InsufficientError{Wanted: 40, Available: 30},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Aggregate(tc.replicas, tc.members)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nAggregate(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(fmt.Sprint(tc.wantErr), fmt.Sprint(err)); diff != "" {
				t.Errorf("\n%s\nAggregate(...): -want error, +got error:\n%s", tc.reason, diff)
			}
		})
	}
}

// apportionOneByOne is the definition in the comment of apportion.
func apportionOneByOne(total int64, weights, caps []int64) []int64 {
	return apportionAnewOneByOne(total, weights, caps, make([]int64, len(weights)))
}

// apportionAnewOneByOne is the definition of apportionAnew.
func apportionAnewOneByOne(total int64, weights, caps, current []int64) []int64 {
	seats := make([]int64, len(weights))
	has := func(i int) bool { return current[i] > seats[i] }
	for ; total > 0; total-- {
		best := -1
		for i, w := range weights {
			if w <= 0 || caps != nil && seats[i] >= caps[i] {
				continue
			}
			if best < 0 {
				best = i
				continue
			}
			claim, other := w*(2*seats[best]+1), weights[best]*(2*seats[i]+1)
			if claim > other || claim == other && has(i) && !has(best) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		seats[best]++
	}
	return seats
}

func TestApportionEqualsDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		n := 1 + random.IntN(6)
		weights := make([]int64, n)
		var caps []int64
		if random.IntN(2) == 0 {
			caps = make([]int64, n)
		}
		for i := range weights {
			weights[i] = random.Int64N(1 + random.Int64N(50))
			if caps != nil {
				caps[i] = random.Int64N(30)
			}
		}
		total := random.Int64N(80)
		want := apportionOneByOne(total, weights, caps)
		if diff := cmp.Diff(want, apportion(total, weights, caps)); diff != "" {
			t.Fatalf("apportion(%d, %v, %v): -one by one, +got:\n%s", total, weights, caps, diff)
		}
	}
}

// randomMembers are members without floors and tiers half of the time.
func randomMembers(random *rand.Rand) []Member {
	members := make([]Member, 1+random.IntN(8))
	plain := random.IntN(2) == 0
	for i := range members {
		members[i] = Member{
			Name:      fmt.Sprintf("member%02d", i),
			Current:   random.Int32N(1 + random.Int32N(20)),
			Available: random.Int32N(1 + random.Int32N(40)),
			Weight:    random.Int64N(5),
		}
		if !plain {
			members[i].AtLeast = random.Int32N(3)
			members[i].Tier = random.IntN(3)
		}
	}
	return members
}

func sumOf(shares []Share) (sum int32) {
	for _, s := range shares {
		sum += s.Replicas
	}
	return sum
}

// TestByWeightMovesNothing divides again in another order of the members: what
// ranks them changes all the time, and must not move replicas.
func TestByWeightMovesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 30_000 {
		members := make([]Member, 1+random.IntN(8))
		for i := range members {
			members[i] = Member{Name: fmt.Sprintf("member%02d", i), Weight: random.Int64N(5)}
		}
		before := random.Int32N(60)
		held := map[string]int32{}
		for _, share := range ByWeight(before, members) {
			held[share.Name] = share.Replicas
		}
		random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		for i := range members {
			members[i].Current = held[members[i].Name]
		}
		after := random.Int32N(60)
		got := map[string]int32{}
		for _, share := range ByWeight(after, members) {
			got[share.Name] = share.Replicas
		}
		for _, m := range members {
			if after >= before && got[m.Name] < m.Current || after <= before && got[m.Name] > m.Current {
				t.Fatalf("ByWeight(%d, %+v) = %v: %s had %d", after, members, got, m.Name, m.Current)
			}
		}
	}
}

type divide func(int32, []Member) ([]Share, error)

var divisions = map[string]divide{
	"ByWeight":           func(r int32, m []Member) ([]Share, error) { return ByWeight(r, m), nil },
	"ByCapacity":         ByCapacity,
	"ByCapacityOrBeyond": func(r int32, m []Member) ([]Share, error) { return ByCapacityOrBeyond(r, m), nil },
	"Aggregate":          Aggregate,
}

// TestProperties checks what doc.go promises on random input.
func TestProperties(t *testing.T) {
	for name, divide := range divisions {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			for range 30_000 {
				checkDivision(t, name, divide, random)
			}
		})
	}
}

func checkDivision(t *testing.T, name string, divide divide, random *rand.Rand) {
	t.Helper()
	members, replicas := randomMembers(random), random.Int32N(120)
	got, err := divide(replicas, members)
	if insufficient, ok := errors.AsType[*InsufficientError](err); ok {
		if insufficient.Wanted <= insufficient.Available {
			t.Fatalf("%s(%d, %+v) refused although %d of %d fit", name, replicas, members, insufficient.Available, insufficient.Wanted)
		}
		return
	}
	if sum := sumOf(got); sum != replicas {
		t.Fatalf("%s(%d, %+v) = %v: sum %d", name, replicas, members, got, sum)
	}
	if again, _ := divide(replicas, members); !slices.Equal(got, again) {
		t.Fatalf("%s(%d, %+v) is not deterministic: %v, %v", name, replicas, members, got, again)
	}
	after := map[string]int32{}
	for _, s := range got {
		after[s.Name] = s.Replicas
	}
	atLeast := floors(int64(replicas), members)
	for i, m := range members {
		if int64(after[m.Name]) < atLeast[i] {
			t.Fatalf("%s(%d, %+v) = %v: %s gets less than %d", name, replicas, members, got, m.Name, atLeast[i])
		}
	}
	if name == "ByWeight" {
		return
	}
	checkChange(t, name, members, replicas, after, atLeast)
	for i := range members {
		members[i].Current = after[members[i].Name]
	}
	checkGrowth(t, name, divide, members, replicas)
}

// checkChange compares a division with what was before.
func checkChange(t *testing.T, name string, members []Member, replicas int32, after map[string]int32, atLeast []int64) {
	t.Helper()
	var current, forced int64
	for i, m := range members {
		current += int64(m.Current)
		forced += max(int64(m.Current), atLeast[i])
	}
	growing, shrinking := int64(replicas) >= forced, int64(replicas) <= current
	for i, m := range members {
		now, floor := after[m.Name], int32(atLeast[i])
		switch {
		case growing && now < m.Current:
			t.Fatalf("%s(%d, %+v) = %v: growing takes from %s", name, replicas, members, after, m.Name)
		case shrinking && now > max(m.Current, floor):
			t.Fatalf("%s(%d, %+v) = %v: shrinking gives to %s", name, replicas, members, after, m.Name)
		case name != "ByCapacityOrBeyond" && now > max(m.Current+m.Available, floor):
			t.Fatalf("%s(%d, %+v) = %v: %s has no such room", name, replicas, members, after, m.Name)
		}
		for j, other := range members {
			if other.Tier >= m.Tier {
				continue
			}
			if growing && now > max(m.Current, floor) && after[other.Name] < other.Current+other.Available {
				t.Fatalf("%s(%d, %+v) = %v: %s gains before %s is full", name, replicas, members, after, m.Name, other.Name)
			}
			if shrinking && now > floor && after[other.Name] < max(other.Current, int32(atLeast[j])) {
				t.Fatalf("%s(%d, %+v) = %v: %s loses before %s is empty", name, replicas, members, after, other.Name, m.Name)
			}
		}
	}
}

// checkGrowth adds one replica to a division and expects one more on one member.
func checkGrowth(t *testing.T, name string, divide divide, members []Member, replicas int32) {
	t.Helper()
	if floors(int64(replicas)+1, members) == nil || !slices.Equal(floors(int64(replicas), members), floors(int64(replicas)+1, members)) {
		return
	}
	grown, err := divide(replicas+1, members)
	if err != nil {
		return
	}
	byName := map[string]int32{}
	for _, s := range grown {
		byName[s.Name] = s.Replicas
	}
	for _, m := range members {
		if byName[m.Name] < m.Current {
			t.Fatalf("%s(%d, %+v) = %v: one more replica takes from %s", name, replicas+1, members, grown, m.Name)
		}
	}
}

// TestShrinkIsProportional holds shrinking to within one replica of the exact
// proportion for two members, where the method is known to stay inside it.
func TestShrinkIsProportional(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		members := []Member{{Name: "a", Current: 1 + random.Int32N(50)}, {Name: "b", Current: 1 + random.Int32N(50)}}
		sum := members[0].Current + members[1].Current
		replicas := random.Int32N(sum)
		byName := map[string]int32{}
		for _, s := range ByCapacityOrBeyond(replicas, members) {
			byName[s.Name] = s.Replicas
		}
		for _, m := range members {
			exact := float64(replicas) * float64(m.Current) / float64(sum)
			if math.Abs(exact-float64(byName[m.Name])) >= 1 {
				t.Fatalf("shrink %+v to %d: %s has %d, exactly %.2f", members, replicas, m.Name, byName[m.Name], exact)
			}
		}
	}
}

func BenchmarkByCapacityOrBeyond(b *testing.B) {
	members := make([]Member, 100)
	for i := range members {
		members[i] = Member{Name: fmt.Sprintf("member%03d", i), Available: int32(100 + i)}
	}
	b.ReportAllocs()
	for b.Loop() {
		ByCapacityOrBeyond(1000, members)
	}
}
