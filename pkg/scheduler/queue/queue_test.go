// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
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

func TestMoreImportantThanBefore(t *testing.T) {
	priorities := map[string]int32{"b": 1}
	q := newQueue(priorities)
	defer q.ShutDown()
	for _, name := range []string{"a", "b", "c", "d"} {
		q.Add(named(name))
	}
	priorities["c"], priorities["b"] = 5, 0
	for _, name := range []string{"b", "c", "a"} {
		q.Add(named(name))
	}
	if diff := cmp.Diff([]string{"c", "b", "a", "d"}, drain(q)); diff != "" {
		t.Errorf("who became more important goes ahead, others keep their place: -want, +got:\n%s", diff)
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
					q.Park(named(name), events, nil)
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
		q.Park(named("a"), framework.MemberReady, nil)
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

// of is an interest in one member.
type of string

func (o of) Concerned(_ framework.Event, change framework.Change) bool {
	return change.After.Name() == string(o)
}

// happened is a change of a member, which now serves widgets.
func happened(member string, events framework.Event) framework.Change {
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: member}}
	before := framework.NewMember(cluster, &framework.APIPool{})
	cluster = cluster.DeepCopy()
	cluster.Status.APIEnablements = []clusterv1alpha1.APIEnablement{{GroupVersion: "v1", Resources: []clusterv1alpha1.APIResource{{Name: "widgets", Kind: "Widget"}}}}
	change := framework.NewChange(before, framework.NewMember(cluster, &framework.APIPool{}))
	change.Events = events
	return change
}

func TestWakeFor(t *testing.T) {
	cases := map[string]struct {
		reason string
		events framework.Event // that a and b wait for
		change framework.Change
		want   []string
	}{
		"Concerned": {reason: "Who cares for the member is woken, and who cares for all.", events: framework.MemberReady, change: happened("m1", framework.MemberReady), want: []string{"a", "c"}},
		"Other":     {reason: "Nobody else is.", events: framework.MemberReady, change: happened("m3", framework.MemberReady), want: []string{"c"}},
		"NoMember":  {reason: "What happens to no member in particular is for everybody.", events: framework.MemberReady, change: framework.Change{Events: framework.MemberReady}, want: []string{"a", "b", "c"}},
		"OtherKind": {reason: "An API that came is of interest to templates of it.", events: framework.MemberAPIs, change: happened("m1", framework.MemberAPIs)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(nil)
				q.Park(named("a"), tc.events, of("m1"))
				q.Park(named("b"), tc.events, of("m2"))
				q.Park(named("c"), tc.events, nil)
				if got := q.WakeFor(tc.change); got != len(tc.want) {
					t.Errorf("\n%s\nWakeFor(...): want %d, got %d", tc.reason, len(tc.want), got)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				got := drain(q)
				slices.Sort(got)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("\n%s\n-want, +got:\n%s", tc.reason, diff)
				}
				q.ShutDown()
			})
		})
	}
	q := newQueue(nil)
	defer q.ShutDown()
	q.Park(template.Key{Kind: "Widget", Name: "w"}, framework.MemberAPIs, of("m1"))
	if got := q.WakeFor(happened("m1", framework.MemberAPIs)); got != 1 {
		t.Errorf("a template of the kind that came: want 1 woken, got %d", got)
	}
}

// TestNothingIsMissed has things happen while a template is being decided about,
// too late for the decision and too early for the wait.
func TestNothingIsMissed(t *testing.T) {
	cases := map[string]struct {
		reason  string
		change  framework.Change
		parked  framework.Event
		members of
		want    int
	}{
		"Awaited":     {reason: "It would have ended the wait.", change: happened("m1", framework.MemberReady), parked: framework.MemberReady, members: "m1", want: 1},
		"OtherEvent":  {reason: "It is not waited for.", change: happened("m1", framework.MemberReady), parked: framework.MemberTaints, members: "m1"},
		"OtherMember": {reason: "The member does not matter.", change: happened("m2", framework.MemberReady), parked: framework.MemberReady, members: "m1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(nil)
				q.WakeFor(happened("m1", framework.MemberReady)) // before: seen by the decision
				q.Add(named("a"))
				key, _ := q.Get()
				q.WakeFor(tc.change)
				q.Park(key, tc.parked, tc.members)
				q.Done(key)
				time.Sleep(time.Second)
				synctest.Wait()
				if got := q.Len(); got != tc.want {
					t.Errorf("\n%s\nLen(): want %d, got %d", tc.reason, tc.want, got)
				}
				if q.missed != nil {
					t.Errorf("\n%s\nwhat was missed is kept: %d changes", tc.reason, len(q.missed))
				}
				q.ShutDown()
			})
		})
	}
}

// TestIndexesShrink keeps templates that wait no more from filling memory.
func TestIndexesShrink(t *testing.T) {
	q := newQueue(nil)
	defer q.ShutDown()
	q.Park(named("a"), framework.AnyEvent, of("m1"))
	q.Park(named("a"), 0, nil)
	for event, byInterest := range q.byEvent {
		if len(byInterest) > 0 {
			t.Errorf("event %d keeps %d interests", event, len(byInterest))
		}
	}
	if got := q.Waiting(); got != 0 {
		t.Errorf("Waiting(): want 0, got %d", got)
	}
}
