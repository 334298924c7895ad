// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// promise is a load that was decided upon and may not be in the report of the
// member yet.
//
//	Assume          Confirm                 report that has seen the version
//	------> made ------------> versioned ------------------------------------> done
//	         |                     |
//	         +-- Forget, lifetime -+-- lifetime ------------------------------> done
type promise struct {
	key    template.Key
	member string
	load   capacity.Load
	until  time.Time
	// version of the binding that was written for it, 0 until it was.
	version uint64
	// claim says that nothing was decided yet: somebody waits for the room.
	claim bool
	done  bool
}

// promises are those of a cache.
type promises struct {
	lifetime time.Duration
	lapsed   time.Time  // when it was looked for promises that lapsed
	pending  []*promise // in the order they lapse, as all live equally long
	byKey    map[template.Key][]*promise
	byMember map[string][]*promise
}

func newPromises(lifetime time.Duration) promises {
	return promises{lifetime: lifetime, byKey: map[template.Key][]*promise{}, byMember: map[string][]*promise{}}
}

func (p *promises) add(made *promise, now time.Time) {
	made.until = now.Add(p.lifetime)
	p.pending = append(p.pending, made)
	p.byKey[made.key] = append(p.byKey[made.key], made)
	p.byMember[made.member] = append(p.byMember[made.member], made)
}

// confirm notes that what was promised for a template was written.
func (p *promises) confirm(key template.Key, version uint64) {
	for _, made := range p.byKey[key] {
		if made.version == 0 && !made.claim {
			made.version = version
		}
	}
}

// observe ends the promises that are in the report of a member.
func (p *promises) observe(member string, version uint64) {
	p.end(slices.DeleteFunc(slices.Clone(p.byMember[member]), func(made *promise) bool {
		return made.version == 0 || made.version > version
	}))
}

// lapse ends the promises whose time is over and returns their members. It looks
// a few times in a lifetime only: what a member has left has to be added up again
// for it.
func (p *promises) lapse(now time.Time) sets.Set[string] {
	if now.Sub(p.lapsed) < p.lifetime/4 {
		return nil
	}
	p.lapsed = now
	n := 0
	for n < len(p.pending) && (p.pending[n].done || !p.pending[n].until.After(now)) {
		n++
	}
	over := slices.DeleteFunc(slices.Clone(p.pending[:n]), func(made *promise) bool { return made.done })
	p.pending = slices.Clone(p.pending[n:])
	return p.end(over)
}

// drop ends the promises made for a template and returns their members. The latest
// are those of the decision that failed; earlier ones of the same template that are
// pending still are few and go with them, which only makes a member look roomier
// for a moment.
func (p *promises) drop(key template.Key) sets.Set[string] {
	return p.end(slices.Clone(p.byKey[key]))
}

// unclaim ends the promises of a claim and returns their members.
func (p *promises) unclaim(key template.Key) sets.Set[string] {
	return p.end(slices.DeleteFunc(slices.Clone(p.byKey[key]), func(made *promise) bool { return !made.claim }))
}

func (p *promises) end(over []*promise) sets.Set[string] {
	members, keys := sets.New[string](), sets.New[template.Key]()
	for _, made := range over {
		made.done = true
		members.Insert(made.member)
		keys.Insert(made.key)
	}
	for member := range members {
		prune(p.byMember, member)
	}
	for key := range keys {
		prune(p.byKey, key)
	}
	return members
}

func prune[K comparable](index map[K][]*promise, at K) {
	left := slices.DeleteFunc(index[at], func(made *promise) bool { return made.done })
	if len(left) == 0 {
		delete(index, at)
		return
	}
	index[at] = left
}

// less is what a member has left without what it was promised.
func (p *promises) less(member string, reported *capacity.Summary) *capacity.Summary {
	left := reported
	for _, made := range p.byMember[member] {
		left = left.Take(made.load)
	}
	return left
}
