// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

func named(name string) template.Key { return template.Key{Kind: "ConfigMap", Name: name} }

func newQueue(priorities map[string]int32) *Queue {
	return New(Config{
		InitialBackoff: 100 * time.Millisecond,
		MaxBackoff:     time.Second,
		Priority:       func(key template.Key) int32 { return priorities[key.Name] },
		Clock:          clock.RealClock{},
	})
}

func drain(q *Queue) []string {
	var names []string
	for q.Len() > 0 {
		key, _ := q.Get()
		names = append(names, key.Name)
		q.Done(key)
	}
	return names
}

func TestOrder(t *testing.T) {
	q := newQueue(map[string]int32{"urgent": 10})
	defer q.ShutDown()
	for _, name := range []string{"b", "a", "urgent", "b"} {
		q.Add(named(name))
	}
	if diff := cmp.Diff([]string{"urgent", "b", "a"}, drain(q)); diff != "" {
		t.Errorf("priority first, then the order of adding, each once: -want, +got:\n%s", diff)
	}
}

func TestInFlightOnce(t *testing.T) {
	q := newQueue(nil)
	defer q.ShutDown()
	q.Add(named("a"))
	key, _ := q.Get()
	q.Add(named("a"))
	if got := q.Len(); got != 0 {
		t.Errorf("Len() while in flight: want 0, got %d", got)
	}
	q.Done(key)
	if got := q.Len(); got != 1 {
		t.Errorf("Len() after Done(...): want 1, got %d", got)
	}
}

func TestWake(t *testing.T) {
	cases := map[string]struct {
		reason string
		parked map[string]framework.Event
		events framework.Event
		want   []string
	}{
		"Interested": {
			reason: "A template that waits for the event is woken.",
			parked: map[string]framework.Event{"a": framework.MemberReady | framework.MemberAdded, "b": framework.MemberTaints},
			events: framework.MemberReady,
			want:   []string{"a"},
		},
		"Several": {
			reason: "One that waits for two of the events is woken once.",
			parked: map[string]framework.Event{"a": framework.MemberReady | framework.MemberAdded},
			events: framework.MemberReady | framework.MemberAdded,
			want:   []string{"a"},
		},
		"Nothing": {
			reason: "Parking for no event is not waiting.",
			parked: map[string]framework.Event{"a": 0},
			events: framework.AnyEvent,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(nil)
				for name, events := range tc.parked {
					q.Park(named(name), events)
				}
				if got := q.Wake(tc.events); got != len(tc.want) {
					t.Errorf("\n%s\nWake(...): want %d, got %d", tc.reason, len(tc.want), got)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if diff := cmp.Diff(tc.want, drain(q)); diff != "" {
					t.Errorf("\n%s\n-want, +got:\n%s", tc.reason, diff)
				}
				q.ShutDown()
			})
		})
	}
}

func TestDecidingEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(nil)
		q.Park(named("a"), framework.MemberReady)
		q.Add(named("a"))
		drain(q)
		if got := q.Wake(framework.MemberReady); got != 0 {
			t.Errorf("Wake(...) after Get(): want 0, got %d", got)
		}
		if got := q.Waiting(); got != 0 {
			t.Errorf("Waiting() after Get(): want 0, got %d", got)
		}
		q.ShutDown()
	})
}

func TestBackoffGrowsAndIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(nil)
		wait := func() time.Duration {
			start := time.Now()
			q.AddAfterFailure(named("a"))
			key, _ := q.Get()
			q.Done(key)
			return time.Since(start)
		}
		got := []time.Duration{wait(), wait(), wait()}
		q.Forget(named("a"))
		got = append(got, wait())
		want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 100 * time.Millisecond}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
		q.ShutDown()
	})
}
