// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package preemption

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	cases := map[string]struct {
		reason     string
		short      int64
		candidates []Candidate
		want       []int32
	}{
		"Enough":      {reason: "Nothing goes for nothing.", candidates: []Candidate{{Replicas: 3, Yield: 1}}},
		"TooLittle":   {reason: "Nobody goes in vain.", short: 4, candidates: []Candidate{{Replicas: 3, Yield: 1}}},
		"LowestFirst": {reason: "The lowest priority goes first.", short: 2, candidates: []Candidate{{Priority: 5, Replicas: 3, Yield: 1}, {Priority: 1, Replicas: 3, Yield: 1}}, want: []int32{0, 2}},
		"ThenNext":    {reason: "Of the higher only what the lower cannot give.", short: 4, candidates: []Candidate{{Priority: 5, Replicas: 3, Yield: 1}, {Priority: 1, Replicas: 3, Yield: 1}}, want: []int32{1, 3}},
		"FewestHigh": {
			reason: "One of the higher makes room for three, so that one of the lower stays.", short: 5,
			candidates: []Candidate{{Priority: 5, Replicas: 3, Yield: 3}, {Priority: 1, Replicas: 3, Yield: 1}}, want: []int32{1, 2},
		},
		"LargestFirst": {reason: "Fewer large ones rather than many small ones.", short: 4, candidates: []Candidate{{Replicas: 9, Yield: 1}, {Replicas: 2, Yield: 2}}, want: []int32{0, 2}},
		"Whole":        {reason: "A gang goes as a whole, when the others are too few.", short: 4, candidates: []Candidate{{Replicas: 3, Yield: 3, Whole: true}, {Replicas: 2, Yield: 1}}, want: []int32{3, 1}},
		"SpareWhole":   {reason: "A gang stays when fewer others do.", short: 2, candidates: []Candidate{{Replicas: 3, Yield: 3, Whole: true}, {Replicas: 2, Yield: 1}}, want: []int32{0, 2}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Choose(tc.short, tc.candidates)); diff != "" {
				t.Errorf("\n%s\nChoose(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// cost is the replicas that go, by priority, the highest first.
func cost(candidates []Candidate, gone []int32) []int32 {
	out := make([]int32, 4)
	for i, n := range gone {
		out[3-candidates[i].Priority] += n
	}
	return out
}

func made(candidates []Candidate, gone []int32) (room int64) {
	for i, n := range gone {
		switch c := candidates[i]; {
		case c.Whole && n == c.Replicas:
			room += int64(c.Yield)
		case !c.Whole:
			room += int64(n) * int64(c.Yield)
		}
	}
	return room
}

// least is the lowest cost of all choices that make the room.
func least(short int64, candidates []Candidate, gone []int32) (best []int32) {
	if len(gone) == len(candidates) {
		if made(candidates, gone) >= short {
			return cost(candidates, gone)
		}
		return nil
	}
	c := candidates[len(gone)]
	for n := range c.Replicas + 1 {
		if c.Whole && n != 0 && n != c.Replicas {
			continue
		}
		if found := least(short, candidates, append(slices.Clone(gone), n)); found != nil && (best == nil || slices.Compare(found, best) < 0) {
			best = found
		}
	}
	return best
}

func TestChooseEqualsSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const cases = 20_000
	for range cases {
		candidates := make([]Candidate, random.IntN(5))
		for i := range candidates {
			candidates[i] = Candidate{Priority: random.Int32N(4), Replicas: 1 + random.Int32N(3), Yield: 1 + random.Int32N(3), Whole: random.IntN(3) == 0}
		}
		short := 1 + random.Int64N(9)
		got, want := Choose(short, candidates), least(short, candidates, nil)
		if (got == nil) != (want == nil) {
			t.Fatalf("Choose(%d, %+v): got %v, the search finds a cost of %v", short, candidates, got, want)
		}
		if got == nil {
			continue
		}
		if room := made(candidates, got); room < short {
			t.Fatalf("Choose(%d, %+v) = %v makes room for %d only", short, candidates, got, room)
		}
		if is := cost(candidates, got); !slices.Equal(is, want) {
			t.Fatalf("Choose(%d, %+v) = %v costs %v, %v is possible", short, candidates, got, is, want)
		}
		if again := Choose(short, candidates); !slices.Equal(again, got) {
			t.Fatalf("Choose(%d, %+v) gives %v and %v", short, candidates, got, again)
		}
	}
}

// TestChooseOfMany: very many gangs, and very large ones, are chosen among in no time.
func TestChooseOfMany(t *testing.T) {
	many := func(count int, of func(i int) Candidate) (out []Candidate) {
		for i := range count {
			out = append(out, of(i))
		}
		return out
	}
	cases := map[string]struct {
		reason     string
		short      int64
		candidates []Candidate
		want       int32 // replicas that go
	}{
		"Equal": {
			reason: "As many as are needed go.", short: 101, want: 150,
			candidates: many(1000, func(int) Candidate { return Candidate{Replicas: 50, Yield: 50, Whole: true} }),
		},
		"One": {
			reason: "One that is enough goes alone.", short: 30, want: 40,
			candidates: many(1000, func(i int) Candidate {
				if i == 500 {
					return Candidate{Replicas: 40, Yield: 30, Whole: true}
				}
				return Candidate{Replicas: 25, Yield: 20, Whole: true}
			}),
		},
		"Best": {
			reason: "Those that make most room for a replica go.", short: 200, want: 20,
			candidates: many(1000, func(i int) Candidate {
				if i%100 == 7 {
					return Candidate{Replicas: 10, Yield: 100, Whole: true}
				}
				return Candidate{Replicas: 50, Yield: 50, Whole: true}
			}),
		},
		"Singles": {
			reason: "What is left to make is made by single ones.", short: 110, want: 110,
			candidates: append(many(1000, func(int) Candidate { return Candidate{Replicas: 50, Yield: 50, Whole: true} }), Candidate{Replicas: 10, Yield: 1}),
		},
		"Large": {
			reason: "So many sums are no reason to look at all of them.", short: 20, want: 1<<20 - 1,
			candidates: many(40, func(i int) Candidate { return Candidate{Replicas: 1 << min(i, 30), Yield: 1, Whole: true} }),
		},
		"All": {
			reason: "All go when all are needed.", short: 50_000, want: 50_000,
			candidates: many(1000, func(int) Candidate { return Candidate{Replicas: 50, Yield: 50, Whole: true} }),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			gone := Choose(tc.short, tc.candidates)
			if took := time.Since(start); took > time.Second {
				t.Errorf("\n%s\nChoose(...) took %s", tc.reason, took)
			}
			var got int32
			for _, n := range gone {
				got += n
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nreplicas that go: -want, +got:\n%s", tc.reason, diff)
			}
			if gone != nil && made(tc.candidates, gone) < tc.short {
				t.Errorf("\n%s\nroom: want %d, got %d", tc.reason, tc.short, made(tc.candidates, gone))
			}
		})
	}
}
