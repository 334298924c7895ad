// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestWindow(t *testing.T) {
	cases := map[string]struct {
		reason  string
		cost    time.Duration
		waiting int
		want    time.Duration
	}{
		"Quiet":    {"nothing else is to do", 0, 1, 100 * time.Millisecond},
		"KeepsUp":  {"few wait, and each is fast", time.Millisecond, 4, 101 * time.Millisecond},
		"Loaded":   {"what waits takes a while", 4 * time.Millisecond, 500, 600 * time.Millisecond},
		"Overload": {"there is a limit", 10 * time.Millisecond, 5000, time.Second},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := &window{shortest: 100 * time.Millisecond, longest: time.Second, workers: 4}
			for range 200 {
				w.observe(tc.cost)
			}
			if got := w.length(tc.waiting).Round(time.Millisecond); got != tc.want {
				t.Errorf("%s: got %v, want %v", tc.reason, got, tc.want)
			}
		})
	}
}

func TestPacer(t *testing.T) {
	p := &pacer{interval: time.Second}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for n, want := range []time.Duration{0, time.Second, 2 * time.Second} {
		if got := p.delay(start); got != want {
			t.Errorf("event %d waits its turn: got %v, want %v", n, got, want)
		}
	}
	if got := p.delay(start.Add(time.Minute)); got != 0 {
		t.Errorf("after a pause nobody waits: got %v", got)
	}
}

func TestWritten(t *testing.T) {
	name := types.NamespacedName{Name: "b"}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var w written
	w.remember(now, name, func(v *versions) { v.binding = "7" })
	w.remember(now.Add(cacheLag+time.Second), types.NamespacedName{Name: "other"}, func(v *versions) { v.binding = "8" })
	if got := w.last(name); got.binding != "7" {
		t.Errorf("a write is remembered for a while: got %v", got)
	}
	w.remember(now.Add(cacheLag+2*time.Second), name, func(v *versions) { v.template = "9" })
	if got := w.last(name); got != (versions{binding: "7", template: "9"}) {
		t.Errorf("a write of the one keeps what is known of the other: got %v", got)
	}
	for n := range 2 {
		w.remember(now.Add(time.Duration(n+2)*2*cacheLag), types.NamespacedName{Name: "other"}, func(v *versions) { v.binding = "8" })
	}
	if got := w.last(name); got != (versions{}) {
		t.Errorf("it is not remembered for ever: got %v", got)
	}
}

func TestBehind(t *testing.T) {
	cases := map[string]struct {
		reason         string
		version, known string
		want           bool
	}{
		"Nothing":  {"nothing is known", "5", "", false},
		"Same":     {"this is the state that was written", "5", "5", false},
		"Newer":    {"another one wrote since", "10", "9", false},
		"Older":    {"the cache has not caught up", "9", "10", true},
		"NoNumber": {"what cannot be compared is not believed", "x", "10", true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := behind(tc.version, tc.known); got != tc.want {
				t.Errorf("%s: got %t", tc.reason, got)
			}
		})
	}
}
