// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package relief

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fleet.dev/fleet/pkg/scheduler/template"
)

var (
	start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	web   = template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	api   = template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "api"}
)

func TestLeaving(t *testing.T) {
	cases := map[string]struct {
		reason  string
		members []Member
		added   int32
		want    []int32
	}{
		"Room":    {reason: "All of them fit elsewhere.", members: []Member{{Stuck: 2, Room: 9}, {Room: 5}}, want: []int32{2, 0}},
		"Some":    {reason: "What fits leaves.", members: []Member{{Stuck: 4}, {Stuck: 3}, {Room: 5}}, want: []int32{4, 1, 0}},
		"None":    {reason: "Room where replicas are stuck is none.", members: []Member{{Stuck: 2, Room: 9}, {Stuck: 1, Room: 9}, {}}, want: []int32{0, 0, 0}},
		"Added":   {reason: "New replicas go first.", members: []Member{{Stuck: 4}, {Room: 5}}, added: 3, want: []int32{2, 0}},
		"TooMany": {reason: "New replicas take everything.", members: []Member{{Stuck: 4}, {Room: 5}}, added: 8, want: []int32{0, 0}},
		"Fewer":   {reason: "Fewer replicas make no room.", members: []Member{{Stuck: 4}, {Room: 1}}, added: -3, want: []int32{1, 0}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Leaving(tc.members, tc.added)); diff != "" {
				t.Errorf("\n%s\nLeaving(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLedger(t *testing.T) {
	l := NewLedger(start)
	at := func(after time.Duration) time.Time { return start.Add(after) }
	wantRest := func(reason string, after, want time.Duration) {
		t.Helper()
		if got := l.Rest(web, time.Minute, at(after)); got != want {
			t.Errorf("\n%s\nRest(): want %s, got %s", reason, want, got)
		}
	}
	wantAvoids := func(reason, member string, room int32, after time.Duration, want bool) {
		t.Helper()
		if got := l.Avoids(web, member, room, at(after)); got != want {
			t.Errorf("\n%s\nAvoids(%s): want %v", reason, member, want)
		}
	}
	wantRest("Nothing is known from before.", 0, time.Minute)
	wantRest("Something would be by now.", time.Minute, 0)
	wantAvoids("It left nothing.", "m1", 0, 0, false)

	l.Moved(web, map[string]int32{"m1": 3}, at(time.Hour))
	if !l.Knows(web, at(time.Hour)) || l.Knows(api, at(time.Hour)) || l.Knows(web, at(26*time.Hour)) {
		t.Error("Knows(): want the one that moved known, for a day")
	}
	l.Moved(web, map[string]int32{"m1": 3}, at(time.Hour))
	wantRest("It just moved.", time.Hour+time.Minute, 4*time.Minute)
	wantRest("It rested.", time.Hour+5*time.Minute, 0)
	wantAvoids("It just left.", "m1", 9, time.Hour+time.Minute, true)
	wantAvoids("It went there.", "m2", 9, time.Hour+time.Minute, false)
	wantAvoids("It has the room that was none.", "m1", 3, 2*time.Hour, true)
	wantAvoids("It has more.", "m1", 4, 2*time.Hour, false)
	if l.Avoids(api, "m1", 0, at(time.Hour)) {
		t.Error("another workload did not leave it")
	}

	l.Moved(web, map[string]int32{"m2": 0}, at(2*time.Hour))
	wantRest("It rests twice as long.", 2*time.Hour, 10*time.Minute)
	wantAvoids("It left both.", "m1", 3, 3*time.Hour, true)
	wantAvoids("It left both.", "m2", 0, 3*time.Hour, true)
	for range 80 {
		l.Moved(web, nil, at(3*time.Hour))
	}
	wantRest("It rests no longer than that.", 3*time.Hour, maxRest)
	l.Stuck(web, at(20*time.Hour))
	wantAvoids("It waits still.", "m1", 0, 28*time.Hour, true)
	wantAvoids("It was quiet for a day.", "m1", 0, 45*time.Hour, false)
	l.Stuck(web, at(45*time.Hour))
	wantAvoids("What is forgotten stays so.", "m1", 0, 45*time.Hour, false)

	l.Moved(web, nil, at(50*time.Hour))
	l.Forget(web)
	wantRest("It is another one of that name.", 50*time.Hour, 0)

	l.Moved(web, nil, at(51*time.Hour))
	l.Moved(api, nil, at(99*time.Hour))
	if len(l.entries) != 1 {
		t.Errorf("want what is forgotten gone, got %d entries", len(l.entries))
	}
}
