// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
)

func TestGarbage(t *testing.T) {
	const long = time.Hour
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	cases := map[string]struct {
		reason      string
		since       time.Duration // since the start
		busy        time.Duration // since it was busy, 0 when it never was
		released    bool
		rate, live  uint64
		want        int
		wantRelease bool
	}{
		"Start":    {reason: "what is made at the start mostly stays", since: time.Second, rate: 100 << 20, live: 50 << 20, want: quietPercent},
		"Started":  {reason: "what it took to start is given back", since: startPeriod, live: 100 << 20, want: quietPercent, wantRelease: true},
		"Quiet":    {reason: "who does little collects often", since: long, released: true, rate: 1 << 20, live: 100 << 20, want: quietPercent},
		"Small":    {reason: "who is busy has as much garbage as a small process may", since: long, released: true, rate: 100 << 20, live: 120 << 20, want: 200},
		"Smallest": {reason: "but not more than so many times what is in use", since: long, rate: 100 << 20, live: 10 << 20, want: mostBusyPercent},
		"Large":    {reason: "a large process has as much as by default", since: long, rate: 100 << 20, live: 2 << 30, want: busyPercent},
		"Pause":    {reason: "who pauses for a moment is still busy", since: long, busy: time.Second, live: 2 << 30, want: busyPercent},
		"Over":     {reason: "who was busy long ago is quiet, and gives back", since: long, busy: quietAfter, live: 2 << 30, want: quietPercent, wantRelease: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			now := start.Add(tc.since)
			g := &garbage{started: start, released: tc.released}
			if tc.busy > 0 {
				g.busyAt = now.Add(-tc.busy)
			}
			percent, release := g.next(now, tc.rate, tc.live)
			if percent != tc.want || release != tc.wantRelease {
				t.Errorf("%s: got %d, release %t, want %d, %t", tc.reason, percent, release, tc.want, tc.wantRelease)
			}
			if _, again := g.next(now, 0, tc.live); again {
				t.Errorf("memory is given back once, and not again")
			}
		})
	}
}

func TestCollectGarbage(t *testing.T) {
	current := func() int {
		percent := debug.SetGCPercent(busyPercent)
		debug.SetGCPercent(percent)
		return percent
	}
	before := current()
	defer debug.SetGCPercent(before)
	t.Run("Quiet", func(t *testing.T) {
		t.Setenv("GOGC", "")
		t.Setenv("GOMEMLIMIT", "")
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			go collectGarbage(ctx, clock.RealClock{})
			time.Sleep(quietAfter + 2*garbagePeriod)
			synctest.Wait()
			if got := current(); got != quietPercent {
				t.Errorf("GOGC of a process that does nothing: got %d, want %d", got, quietPercent)
			}
			cancel()
			synctest.Wait()
		})
	})
	debug.SetGCPercent(before)
	t.Run("Environment", func(t *testing.T) {
		t.Setenv("GOGC", "80")
		collectGarbage(t.Context(), clock.RealClock{})
		if got := current(); got != before {
			t.Errorf("who says what GOGC is, is listened to: got %d, want %d", got, before)
		}
	})
}
