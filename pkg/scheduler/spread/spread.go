// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package spread

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// MaxSteps bounds how often a search finds out whether something valid lies ahead,
// which takes a time in proportion to the number of members.
const MaxSteps = 5_000

// ErrTooHard says that a search was given up.
var ErrTooHard = errors.New("too many ways to meet the spread constraints")

// Bounds are the numbers of groups of one dimension that may be used.
type Bounds struct {
	// Least is the fewest groups. 1 or less asks for nothing.
	Least int
	// Most is the most groups; 0 means no limit.
	Most int
}

// Member is one candidate.
type Member struct {
	// Groups it is in, by dimension, in the order of the bounds. A member that is
	// in no group of some dimension is never chosen.
	Groups [][]string
	// Room is how much of what is to be placed it can hold. Not negative.
	Room int64
}

// Choose returns the indices of the members to use, ascending, nil when no choice
// is valid. The members are in the order of preference. Together the chosen have
// at least the room asked for; if no valid choice has, or finding one is too hard,
// room is left out of account.
func Choose(members []Member, bounds []Bounds, room int64) ([]int, error) {
	if room > 0 {
		chosen, err := newSearch(members, bounds, room).run()
		if chosen != nil && err == nil {
			return chosen, nil
		}
	}
	return newSearch(members, bounds, 0).run()
}

// search is the state of one search.
type search struct {
	bounds []Bounds
	room   int64 // still needed

	index []int     // of the members that are in a group of every dimension
	group [][][]int // by member, then dimension: numbers of its groups
	rooms []int64
	in    []bool
	sizes [][]int // by dimension and group: how many members are in it
	alone []bool  // by dimension: whether every member is in a group of its own
	used  [][]int // by dimension and group: how many of the chosen are in it
	count []int   // by dimension: how many groups are used
	kinds []int   // by member: which others are in the same groups, but for those it has alone
	steps int
}

func newSearch(members []Member, bounds []Bounds, room int64) *search {
	s := &search{bounds: bounds, room: room, sizes: make([][]int, len(bounds)), used: make([][]int, len(bounds)), count: make([]int, len(bounds))}
	numbers := make([]map[string]int, len(bounds))
	for d := range numbers {
		numbers[d] = map[string]int{}
	}
	// Most members are in one group of each dimension: there is room for those of all
	// of them in one piece.
	all, flat := make([][]int, len(members)*len(bounds)), make([]int, 0, len(members)*len(bounds))
	for i, member := range members {
		if slices.ContainsFunc(member.Groups, func(groups []string) bool { return len(groups) == 0 }) {
			continue
		}
		groups := all[:len(bounds):len(bounds)]
		all = all[len(bounds):]
		for d := range bounds {
			begin := len(flat)
			flat = numbered(flat, numbers[d], member.Groups[d])
			groups[d] = flat[begin:len(flat):len(flat)]
		}
		s.index = append(s.index, i)
		s.group = append(s.group, groups)
		s.rooms = append(s.rooms, max(member.Room, 0))
	}
	s.alone = make([]bool, len(bounds))
	for d := range bounds {
		s.used[d], s.sizes[d] = make([]int, len(numbers[d])), make([]int, len(numbers[d]))
		for m := range s.group {
			for _, group := range s.group[m][d] {
				s.sizes[d][group]++
			}
		}
		// As many groups as members, and no member in two.
		severally := func(groups [][]int) bool { return len(groups[d]) > 1 }
		s.alone[d] = len(numbers[d]) == len(s.index) && !slices.ContainsFunc(s.group, severally)
	}
	s.kinds = s.sort()
	s.trim()
	s.in = make([]bool, len(s.index))
	return s
}

// trim leaves out members that no best choice has: where so many members may be
// taken, and as many come before this one, are in the same groups and have no less
// room, a choice with this one is better with one of those.
func (s *search) trim() {
	slots := s.slots()
	if slots < 0 {
		return
	}
	better := map[int][]int64{} // by kind: the room of those kept
	kept := 0
	for m, kind := range s.kinds {
		var before int64
		for _, room := range better[kind] {
			if s.room <= 0 || room >= s.rooms[m] {
				before++
			}
		}
		if before >= slots {
			for d := range s.group[m] {
				for _, group := range s.group[m][d] {
					s.sizes[d][group]--
				}
			}
			continue
		}
		better[kind] = append(better[kind], s.rooms[m])
		s.index[kept], s.group[kept], s.rooms[kept], s.kinds[kept] = s.index[m], s.group[m], s.rooms[m], kind
		kept++
	}
	s.index, s.group, s.rooms, s.kinds = s.index[:kept], s.group[:kept], s.rooms[:kept], s.kinds[:kept]
}

// numbered appends the numbers of groups, sorted and each once, new ones given to those
// not seen yet.
func numbered(to []int, numbers map[string]int, groups []string) []int {
	begin := len(to)
	for _, group := range groups {
		n, ok := numbers[group]
		if !ok {
			n = len(numbers)
			numbers[group] = n
		}
		to = append(to, n)
	}
	slices.Sort(to[begin:])
	return to[:begin+len(slices.Compact(to[begin:]))]
}

// sort numbers the members by what they do to the counts: two of one kind are in
// the same groups, but for as many that each has alone.
func (s *search) sort() []int {
	kinds := make([]int, len(s.group))
	known := map[string]int{}
	var key []byte
	for m, groups := range s.group {
		key = key[:0]
		for d := range groups {
			for _, group := range groups[d] {
				if s.sizes[d][group] == 1 {
					group = -1
				}
				key = binary.AppendVarint(key, int64(group))
			}
			key = binary.AppendVarint(key, -2) // no number of a group
		}
		kind, ok := known[string(key)]
		if !ok {
			kind = len(known)
			known[string(key)] = kind
		}
		kinds[m] = kind
	}
	return kinds
}

func (s *search) run() ([]int, error) {
	if len(s.index) == 0 || !s.reachable(0) {
		return nil, nil
	}
	found, err := s.from(0)
	if !found || err != nil {
		return nil, err
	}
	var chosen []int
	for m, in := range s.in {
		if in {
			chosen = append(chosen, s.index[m])
		}
	}
	return chosen, nil
}

// from decides about the members from the given one on, and reports whether that
// led to a valid choice.
func (s *search) from(m int) (bool, error) {
	// failed is the most room of the members of a kind that led nowhere. Later ones
	// of that kind with no more room lead nowhere either: they leave less to choose
	// from.
	failed := map[int]int64{}
	for ; m < len(s.in); m++ {
		if !s.allowed(m) {
			continue
		}
		if room, ok := failed[s.kinds[m]]; ok && s.rooms[m] <= room {
			continue
		}
		spends := s.spends(m)
		s.take(m)
		if !spends || s.met() {
			// Nothing was given up for it, or nothing is left to be met.
			continue
		}
		if s.steps++; s.steps > MaxSteps {
			return false, ErrTooHard
		}
		if s.reachable(m + 1) {
			found, err := s.from(m + 1)
			if found || err != nil {
				return found, err
			}
		}
		s.leave(m)
		failed[s.kinds[m]] = s.rooms[m]
	}
	return s.met() && slices.Contains(s.in, true), nil
}

// allowed reports whether the member can be taken without going over a limit.
func (s *search) allowed(m int) bool {
	for d, b := range s.bounds {
		if b.Most > 0 && s.count[d]+s.opens(m, d) > b.Most {
			return false
		}
	}
	return true
}

// spends reports whether taking the member uses up some of a limit.
func (s *search) spends(m int) bool {
	for d, b := range s.bounds {
		if b.Most > 0 && s.opens(m, d) > 0 {
			return true
		}
	}
	return false
}

// opens is how many groups of a dimension are used that were not.
func (s *search) opens(m, d int) (n int) {
	for _, group := range s.group[m][d] {
		if s.used[d][group] == 0 {
			n++
		}
	}
	return n
}

func (s *search) take(m int) {
	s.in[m] = true
	s.room -= s.rooms[m]
	for d := range s.bounds {
		for _, group := range s.group[m][d] {
			if s.used[d][group]++; s.used[d][group] == 1 {
				s.count[d]++
			}
		}
	}
}

// leave takes back that a member, and any after it, was taken.
func (s *search) leave(m int) {
	for n := m; n < len(s.in); n++ {
		if !s.in[n] {
			continue
		}
		s.in[n] = false
		s.room += s.rooms[n]
		for d := range s.bounds {
			for _, group := range s.group[n][d] {
				if s.used[d][group]--; s.used[d][group] == 0 {
					s.count[d]--
				}
			}
		}
	}
}

// met reports whether what is chosen is enough.
func (s *search) met() bool {
	for d, b := range s.bounds {
		if s.count[d] < b.Least {
			return false
		}
	}
	return s.room <= 0
}

// reachable reports whether the members from m on may be enough for what is
// missing, looking at one limit at a time. It never says no wrongly.
func (s *search) reachable(m int) bool {
	var open []int
	for ; m < len(s.in); m++ {
		if s.allowed(m) {
			open = append(open, m)
		}
	}
	for d, b := range s.bounds {
		missing := b.Least - s.count[d]
		if missing > 0 && !s.coverable(open, d, missing) {
			return false
		}
	}
	return s.room <= 0 || s.holdable(open)
}

// coverable reports whether the open members can add the missing groups of
// dimension d.
func (s *search) coverable(open []int, d, missing int) bool {
	fresh := make([]bool, len(s.used[d]))
	n := 0
	for _, m := range open {
		for _, group := range s.group[m][d] {
			if s.used[d][group] == 0 && !fresh[group] {
				fresh[group] = true
				n++
			}
		}
	}
	if n < missing || s.bounds[d].Most > 0 && s.bounds[d].Most-s.count[d] < missing {
		return false
	}
	for e, b := range s.bounds {
		if b.Most > 0 && e != d && s.mostGroups(open, d, e) < int64(missing) {
			return false
		}
	}
	return true
}

// mostGroups is an upper bound of the new groups of dimension d within the limit
// of dimension e.
func (s *search) mostGroups(open []int, d, e int) int64 {
	gains := newGains(len(s.used[e]))
	// counted notes pairs of groups; one of e with a single member has no twice.
	counted := map[[2]int]bool{}
	for _, m := range open {
		for _, h := range s.newGroups(m, e) {
			for _, g := range s.group[m][d] {
				if s.used[d][g] > 0 || counted[[2]int{h, g}] {
					continue
				}
				if h == inUse || s.sizes[e][h] > 1 {
					counted[[2]int{h, g}] = true
				}
				gains.add(h, 1)
			}
		}
	}
	return gains.most(s.bounds[e].Most - s.count[e])
}

// holdable reports whether the open members have the room that is missing.
func (s *search) holdable(open []int) bool {
	var sum int64
	for _, m := range open {
		sum += s.rooms[m]
	}
	if sum < s.room {
		return false
	}
	for e, b := range s.bounds {
		if b.Most > 0 && s.mostRoom(open, e) < s.room {
			return false
		}
	}
	return true
}

// mostRoom is an upper bound of the room within the limit of dimension e. A limit
// on the number of members counts as well, at a price per member: whatever the
// price, no choice within both limits has more room than what is left of the room
// of each member after the price, within the one limit, and the price of as many
// members as the other allows. The best price is searched for, which is easy as
// the bound is convex in it.
func (s *search) mostRoom(open []int, e int) int64 {
	at := func(price int64) int64 {
		gains := newGains(len(s.used[e]))
		for _, m := range open {
			for _, h := range s.newGroups(m, e) {
				gains.add(h, max(s.rooms[m]-price, 0))
			}
		}
		return gains.most(s.bounds[e].Most - s.count[e])
	}
	slots := s.slots()
	if slots < 0 || s.alone[e] {
		return at(0)
	}
	low, high := int64(0), int64(0)
	for _, m := range open {
		high = max(high, s.rooms[m])
	}
	bound := func(price int64) int64 { return at(price) + price*slots }
	for low < high {
		if middle := low + (high-low)/2; bound(middle) <= bound(middle+1) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return bound(low)
}

// slots is how many more members may be taken, negative when there is no limit.
func (s *search) slots() int64 {
	for d, b := range s.bounds {
		if b.Most > 0 && s.alone[d] {
			return int64(b.Most - s.count[d])
		}
	}
	return -1
}

// inUse stands for the groups that are used already.
const inUse = -1

// newGroups returns the groups of a dimension the member would add, inUse alone
// when it adds none.
func (s *search) newGroups(m, e int) []int {
	groups := s.group[m][e]
	if len(groups) == 1 && s.used[e][groups[0]] == 0 {
		return groups
	}
	var out []int
	for _, group := range groups {
		if s.used[e][group] == 0 {
			out = append(out, group)
		}
	}
	if len(out) == 0 {
		return onlyInUse
	}
	return out
}

var onlyInUse = []int{inUse}

// gains is what each group would add, and what comes without a new one.
type gains struct {
	free    int64
	byGroup []int64
}

func newGains(groups int) *gains { return &gains{byGroup: make([]int64, groups)} }

func (g *gains) add(group int, gain int64) {
	if group == inUse {
		g.free += gain
		return
	}
	g.byGroup[group] += gain
}

// most is what so many groups add at best.
func (g *gains) most(groups int) int64 {
	slices.SortFunc(g.byGroup, func(a, b int64) int { return cmp.Compare(b, a) })
	total := g.free
	for _, gain := range g.byGroup[:min(max(groups, 0), len(g.byGroup))] {
		total += gain
	}
	return total
}
