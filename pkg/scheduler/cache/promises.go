// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"time"

	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// promise is a load that was decided upon and may not be in the report of the
// member yet.
type promise struct {
	key    template.Key
	member string
	load   capacity.Vector
	until  time.Time
}

// promises are in the order they lapse, as all live equally long.
type promises struct {
	lifetime time.Duration
	pending  []promise
}

func (p *promises) add(made promise, now time.Time) {
	made.until = now.Add(p.lifetime)
	p.pending = append(p.pending, made)
}

// lapse removes and returns the promises whose time is over.
func (p *promises) lapse(now time.Time) []promise {
	n := 0
	for n < len(p.pending) && !p.pending[n].until.After(now) {
		n++
	}
	lapsed := p.pending[:n:n]
	p.pending = p.pending[n:]
	return lapsed
}

// drop removes and returns the promises made for a template. The latest are
// those of the decision that failed; earlier ones of the same template that are
// pending still are few and go with them, which only makes a member look
// roomier for a moment.
func (p *promises) drop(key template.Key) []promise {
	var dropped []promise
	kept := p.pending[:0:0]
	for _, pending := range p.pending {
		if pending.key == key {
			dropped = append(dropped, pending)
			continue
		}
		kept = append(kept, pending)
	}
	p.pending = kept
	return dropped
}
