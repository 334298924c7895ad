// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"sync/atomic"
	"time"
)

// window says how long reports on a binding gather. It is as short as allowed
// while the workers keep up, and grows by the time they need for what is waiting.
type window struct {
	shortest, longest time.Duration
	workers           int
	// cost is a moving average of the time one binding takes, in nanoseconds.
	cost atomic.Int64
}

// length returns the window for a binding when so many are waiting.
func (w *window) length(waiting int) time.Duration {
	backlog := time.Duration(int64(waiting) * w.cost.Load() / int64(w.workers))
	return min(w.shortest+backlog, w.longest)
}

// observe takes in how long one binding took.
func (w *window) observe(took time.Duration) {
	for {
		before := w.cost.Load()
		after := before + (int64(took)-before)/8
		if w.cost.CompareAndSwap(before, after) {
			return
		}
	}
}

// pacer spreads events that come all at once.
type pacer struct {
	interval time.Duration
	free     time.Time
}

// delay returns how long the next event has to wait for its turn.
func (p *pacer) delay(now time.Time) time.Duration {
	if p.free.Before(now) {
		p.free = now
	}
	wait := p.free.Sub(now)
	p.free = p.free.Add(p.interval)
	return wait
}
