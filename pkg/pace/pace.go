// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"math"
	"sync"
	"time"
)

// memory is how long an event counts as one of those that happen now.
const memory = time.Second

// Pace stretches a delay while much happens.
type Pace struct {
	shortest, longest time.Duration
	crowd             float64

	mu sync.Mutex
	// recent is how many events happened within memory, older ones counting ever less,
	// as of at. Guarded by mu.
	recent float64
	at     time.Time
}

// New returns a Pace with delays from the shortest to the longest. They double with each
// crowd of events per second.
func New(shortest, longest time.Duration, crowd int) *Pace {
	return &Pace{shortest: shortest, longest: longest, crowd: float64(crowd)}
}

// Delay takes note of an event and returns how long what follows from it is to wait.
func (p *Pace) Delay(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	passed := max(now.Sub(p.at), 0)
	p.recent = p.recent*math.Exp(-float64(passed)/float64(memory)) + 1
	p.at = now
	stretched := float64(p.shortest) * math.Pow(2, math.Floor(p.recent/p.crowd))
	return time.Duration(min(stretched, float64(p.longest)))
}
