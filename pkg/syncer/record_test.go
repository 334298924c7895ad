// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func version(uid, version string) *observed {
	return &observed{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version}, observedGeneration: -1}
}

func TestRecordLatest(t *testing.T) {
	cases := map[string]struct {
		reason string
		record func(*record)
		seen   *observed
		want   string // the version, empty for none
	}{
		"Nothing":      {"there is nothing", func(*record) {}, nil, ""},
		"OnlySeen":     {"what is mirrored counts", func(*record) {}, version("a", "5"), "5"},
		"MirrorBehind": {"the mirror does not have the write yet", func(r *record) { r.keepApplied(version("a", "7")) }, version("a", "5"), "7"},
		"MirrorAbsent": {"the mirror does not have the new object yet", func(r *record) { r.keepApplied(version("a", "7")) }, nil, "7"},
		"MirrorAhead":  {"somebody changed it since", func(r *record) { r.keepApplied(version("a", "7")) }, version("a", "10"), "10"},
		"Vanished": {
			"it was deleted after it was written",
			func(r *record) { r.keepApplied(version("a", "7")); r.vanished("a", "8") }, nil, "",
		},
		"VanishedBeforeTheAnswer": {
			"the news of its end came before the answer to the write",
			func(r *record) { r.vanished("a", "8"); r.keepApplied(version("a", "7")) }, nil, "",
		},
		"CreatedAfterItVanished": {
			"the old one's end is not the new one's",
			func(r *record) { r.vanished("a", "8"); r.keepApplied(version("b", "9")) }, nil, "9",
		},
		"LongerNumber": {"versions are numbers", func(r *record) { r.keepApplied(version("a", "99")) }, version("a", "100"), "100"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := &record{}
			tc.record(r)
			got := ""
			if object := r.latest(tc.seen); object != nil {
				got = object.ResourceVersion
			}
			if got != tc.want {
				t.Errorf("%s: latest() is %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestRecordReflected(t *testing.T) {
	deployment := target{kind: schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}}
	configMap := target{kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}}
	work := &workv1alpha1.Work{}
	work.Spec.Template.Generation = 2
	object := func(generation, observedGeneration int64) *observed {
		o := version("a", "1")
		o.Generation, o.observedGeneration = generation, observedGeneration
		return o
	}
	cases := map[string]struct {
		reason string
		target target
		o      outcome
		want   int64
	}{
		"Observed":       {"the member's controller has seen what was applied", deployment, succeeded(object(5, 5)), 2},
		"NotYetObserved": {"the status is still about what was before", deployment, succeeded(object(5, 4)), 1},
		"NoStatusYet":    {"a new Deployment has no status at first", deployment, succeeded(object(1, -1)), 1},
		"NoController":   {"kinds without a status are as they were applied", configMap, succeeded(object(0, -1)), 2},
		"NotApplied":     {"what is there is not what the template says", deployment, outcome{object: object(5, 5)}, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := &record{target: tc.target, templateGeneration: 1}
			if got := r.reflected(work, tc.o); got != tc.want {
				t.Errorf("%s: reflected() = %d, want %d", tc.reason, got, tc.want)
			}
		})
	}
}

func TestDisputes(t *testing.T) {
	now := testingclock.NewFakePassiveClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	step := func(d time.Duration) { now.SetTime(now.Now().Add(d)) }
	var d disputes
	for i := range freeCorrections {
		if wait := d.wait(now); wait != 0 {
			t.Fatalf("correction %d waits %s: drift has to be put right within seconds", i+1, wait)
		}
		d.corrected(now)
		step(100 * time.Millisecond)
	}
	var waited []time.Duration
	for range 12 {
		wait := d.wait(now)
		waited = append(waited, wait.Round(time.Second))
		step(wait)
		d.corrected(now)
	}
	if waited[0] < time.Second || waited[1] <= waited[0] || waited[11] != correctionsApart {
		t.Errorf("corrections that never last are %v apart, want them to become rarer, up to %s", waited, correctionsApart)
	}
	step(correctionsApart + peace + time.Second)
	if wait := d.wait(now); wait != 0 {
		t.Errorf("after a time of peace a correction waits %s", wait)
	}
}

func TestBackoff(t *testing.T) {
	cases := map[string]struct {
		retry   retry
		attempt int
		want    time.Duration
	}{
		"FirstSoon":  {soon, 1, 200 * time.Millisecond},
		"ThirdSoon":  {soon, 3, 800 * time.Millisecond},
		"ManySoon":   {soon, 1000, 30 * time.Second},
		"FirstLater": {later, 1, 5 * time.Second},
		"ManyLater":  {later, 1000, 5 * time.Minute},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.retry.backoff(tc.attempt); got != tc.want {
				t.Errorf("backoff(%d) = %s, want %s", tc.attempt, got, tc.want)
			}
		})
	}
}
