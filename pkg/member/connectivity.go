// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"sync"
	"time"
)

// connectivity remembers whether the member answers.
//
//	          found              lost(t, err)
//	unknown ────────▶ connected ─────────────▶ lost since t
//	   │                  ▲                      │    ▲ │
//	   │                  └────────found─────────┘    └─┘ lost: t stays
//	   └──lost(t, err)──▶ lost since t
//
// The time of a loss is that of its first failure; later failures only replace
// the error.
type connectivity struct {
	mu    sync.Mutex
	known bool
	since time.Time // zero unless lost
	err   error     // nil unless lost
}

// found records an answer. It returns true when the member was lost or never
// heard of before.
func (c *connectivity) found() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := !c.known || c.err != nil
	c.known, c.since, c.err = true, time.Time{}, nil
	return changed
}

// lost records a failure to get an answer. It returns true when it is the first
// one.
func (c *connectivity) lost(now time.Time, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.err == nil
	if first {
		c.since = now
	}
	c.known, c.err = true, err
	return first
}

// state returns whether the member answers, and if it does not, since when and
// why. A member never asked counts as not answering.
func (c *connectivity) state() (connected bool, since time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known && c.err == nil, c.since, c.err
}
