// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	const shortest, longest = 100 * time.Millisecond, 4 * time.Second
	cases := map[string]struct {
		reason string
		every  time.Duration
		events int
		want   time.Duration
	}{
		"First":    {"one event is followed up at once", time.Minute, 1, shortest},
		"Alone":    {"so are those that come one by one", time.Minute, 100, shortest},
		"Steady":   {"a few per second are no crowd", 250 * time.Millisecond, 100, shortest},
		"Busy":     {"more wait longer", 50 * time.Millisecond, 100, 4 * shortest},
		"Crowd":    {"many wait as long as anything does", 10 * time.Millisecond, 200, longest},
		"Together": {"what comes at the same moment is a crowd, too", 0, 1000, longest},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := New(shortest, longest, 8)
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			var got time.Duration
			for range tc.events {
				got = p.Delay(now)
				now = now.Add(tc.every)
			}
			if got != tc.want {
				t.Errorf("%s: got %v, want %v", tc.reason, got, tc.want)
			}
			if got := p.Delay(now.Add(time.Minute)); got != shortest {
				t.Errorf("when it is over: got %v, want %v", got, shortest)
			}
		})
	}
}

// A clock that is set back must not stretch anything for ever.
func TestPaceClockSetBack(t *testing.T) {
	p := New(time.Second, time.Minute, 2)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 100 {
		p.Delay(now)
	}
	now = now.Add(-time.Hour)
	p.Delay(now)
	if got := p.Delay(now.Add(time.Minute)); got != time.Second {
		t.Errorf("a minute later: got %v, want %v", got, time.Second)
	}
}
