// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"

	"fleet.dev/fleet/pkg/apis/cluster"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 999, time.UTC)

func member(change func(*cluster.Cluster)) *cluster.Cluster {
	c := &cluster.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "m1", Generation: 1},
		Spec:       cluster.ClusterSpec{SyncMode: cluster.Push},
	}
	if change != nil {
		change(c)
	}
	return c
}

func taint(key, value string, effect corev1.TaintEffect, added *metav1.Time) corev1.Taint {
	return corev1.Taint{Key: key, Value: value, Effect: effect, TimeAdded: added}
}

func TestTimeAdded(t *testing.T) {
	stamp := metav1.NewTime(now).Rfc3339Copy()
	before := metav1.NewTime(now.Add(-time.Hour)).Rfc3339Copy()
	tests := map[string]struct {
		reason           string
		old, given, want []corev1.Taint
		generation       int64
	}{
		"New": {
			reason: "the time a taint is tolerated counts from here",
			given:  []corev1.Taint{taint("down", "", corev1.TaintEffectNoExecute, nil)},
			want:   []corev1.Taint{taint("down", "", corev1.TaintEffectNoExecute, &stamp)},
		},
		"OtherEffects": {
			reason: "only NoExecute counts time",
			given:  []corev1.Taint{taint("a", "", corev1.TaintEffectNoSchedule, nil), taint("b", "", corev1.TaintEffectPreferNoSchedule, nil)},
			want:   []corev1.Taint{taint("a", "", corev1.TaintEffectNoSchedule, nil), taint("b", "", corev1.TaintEffectPreferNoSchedule, nil)},
		},
		"Given": {
			reason: "a controller knows better since when the member is down",
			given:  []corev1.Taint{taint("down", "", corev1.TaintEffectNoExecute, &before)},
			want:   []corev1.Taint{taint("down", "", corev1.TaintEffectNoExecute, &before)},
		},
		"LeftOutByAnUpdate": {
			reason:     "applying the same manifest again does not postpone an eviction, nor is it a change",
			old:        []corev1.Taint{taint("down", "", corev1.TaintEffectNoExecute, &before)},
			given:      []corev1.Taint{taint("down", "", corev1.TaintEffectNoExecute, nil)},
			want:       []corev1.Taint{taint("down", "", corev1.TaintEffectNoExecute, &before)},
			generation: 1,
		},
		"AnotherValue": {
			reason:     "who tolerated the old value has not been asked about the new one",
			old:        []corev1.Taint{taint("maintenance", "1", corev1.TaintEffectNoExecute, &before)},
			given:      []corev1.Taint{taint("maintenance", "2", corev1.TaintEffectNoExecute, nil)},
			want:       []corev1.Taint{taint("maintenance", "2", corev1.TaintEffectNoExecute, &stamp)},
			generation: 2,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			strategy := newStrategy(runtime.NewScheme(), clocktesting.NewFakePassiveClock(now))
			given := member(func(c *cluster.Cluster) { c.Spec.Taints = tc.given })
			if tc.old == nil {
				strategy.PrepareForCreate(t.Context(), given)
				tc.generation = 1
			} else {
				strategy.PrepareForUpdate(t.Context(), given, member(func(c *cluster.Cluster) { c.Spec.Taints = tc.old }))
			}
			if diff := cmp.Diff(tc.want, given.Spec.Taints); diff != "" {
				t.Errorf("%s: taints, -want +got:\n%s", tc.reason, diff)
			}
			if given.Generation != tc.generation {
				t.Errorf("%s: want generation %d, got %d", tc.reason, tc.generation, given.Generation)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		reason string
		given  func(*cluster.Cluster)
		want   []string
	}{
		"None": {
			reason: "there is nothing to say about most members",
			given:  func(c *cluster.Cluster) { c.Spec.Zones = []string{"a"} },
		},
		"Zone": {
			reason: "it is deprecated",
			given:  func(c *cluster.Cluster) { c.Spec.Zone = "a" },
			want:   []string{"spec.zone: deprecated; use spec.zones"},
		},
		"AcceptedPush": {
			reason: "consent is asked for in Pull mode only",
			given:  func(c *cluster.Cluster) { c.Spec.Accepted = true },
			want:   []string{"spec.accepted: ignored with syncMode Push"},
		},
		"AcceptedPull": {
			reason: "that is what it is for",
			given:  func(c *cluster.Cluster) { c.Spec.SyncMode, c.Spec.Accepted = cluster.Pull, true },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := newStrategy(runtime.NewScheme(), clocktesting.NewFakePassiveClock(now)).WarningsOnCreate(t.Context(), member(tc.given))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: warnings, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
