// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

func ready(status metav1.ConditionStatus) []metav1.Condition {
	return []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: status, Reason: "Test"}}
}

func TestWantedTaint(t *testing.T) {
	now := metav1.Now()
	for name, tc := range map[string]struct {
		reason  string
		cluster clusterv1alpha1.Cluster
		want    string
	}{
		"Ready": {
			reason:  "A ready member takes everything.",
			cluster: clusterv1alpha1.Cluster{Status: clusterv1alpha1.ClusterStatus{Conditions: ready(metav1.ConditionTrue)}},
		},
		"NotReady": {
			reason:  "A member that calls itself not ready takes nothing new.",
			cluster: clusterv1alpha1.Cluster{Status: clusterv1alpha1.ClusterStatus{Conditions: ready(metav1.ConditionFalse)}},
			want:    "cluster.fleet.dev/not-ready",
		},
		"NeverReported": {
			reason: "A member nobody has reported on takes nothing yet.",
			want:   "cluster.fleet.dev/not-ready",
		},
		"Unknown": {
			reason:  "A member that is not heard of takes nothing new.",
			cluster: clusterv1alpha1.Cluster{Status: clusterv1alpha1.ClusterStatus{Conditions: ready(metav1.ConditionUnknown)}},
			want:    "cluster.fleet.dev/unreachable",
		},
		"Deleted": {
			reason: "A member that leaves takes nothing new, however healthy.",
			cluster: clusterv1alpha1.Cluster{
				ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now},
				Status:     clusterv1alpha1.ClusterStatus{Conditions: ready(metav1.ConditionTrue)},
			},
			want: "cluster.fleet.dev/terminating",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, wantedTaint(&tc.cluster)); diff != "" {
				t.Errorf("\n%s\nwantedTaint(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSetTaint(t *testing.T) {
	const (
		notReady    = "cluster.fleet.dev/not-ready"
		unreachable = "cluster.fleet.dev/unreachable"
	)
	taint := func(key string, effect corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: key, Effect: effect}
	}
	users := taint("dedicated", corev1.TaintEffectNoSchedule)
	usersOwn := taint(notReady, corev1.TaintEffectNoExecute)

	for name, tc := range map[string]struct {
		reason     string
		taints     []corev1.Taint
		want       string
		wantTaints []corev1.Taint
		changed    bool
	}{
		"Add": {
			reason:     "A wanted taint is added after the user's.",
			taints:     []corev1.Taint{users},
			want:       notReady,
			wantTaints: []corev1.Taint{users, taint(notReady, corev1.TaintEffectNoSchedule)},
			changed:    true,
		},
		"Keep": {
			reason:     "A wanted taint that is there is left alone.",
			taints:     []corev1.Taint{taint(notReady, corev1.TaintEffectNoSchedule), users},
			want:       notReady,
			wantTaints: []corev1.Taint{taint(notReady, corev1.TaintEffectNoSchedule), users},
		},
		"Swap": {
			reason:     "Only one of the controller's taints stays.",
			taints:     []corev1.Taint{taint(notReady, corev1.TaintEffectNoSchedule), users},
			want:       unreachable,
			wantTaints: []corev1.Taint{users, taint(unreachable, corev1.TaintEffectNoSchedule)},
			changed:    true,
		},
		"Remove": {
			reason:     "A taint that is wanted no more goes, the user's own of the same key with another effect stays.",
			taints:     []corev1.Taint{usersOwn, taint(notReady, corev1.TaintEffectNoSchedule), users},
			wantTaints: []corev1.Taint{usersOwn, users},
			changed:    true,
		},
		"Nothing": {
			reason:     "Without anything wanted or present nothing changes.",
			taints:     []corev1.Taint{users},
			wantTaints: []corev1.Taint{users},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &clusterv1alpha1.Cluster{Spec: clusterv1alpha1.ClusterSpec{Taints: tc.taints}}
			changed := setTaint(cluster, tc.want)
			if changed != tc.changed {
				t.Errorf("\n%s\nsetTaint(...): want changed %t, got %t", tc.reason, tc.changed, changed)
			}
			if diff := cmp.Diff(tc.wantTaints, cluster.Spec.Taints); diff != "" {
				t.Errorf("\n%s\nsetTaint(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestHeartbeats(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := clocktesting.NewFakePassiveClock(start)
	beats := newHeartbeats(clock)
	renewed := func(at time.Time) *coordinationv1.Lease {
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: at}}}
	}
	yesterday := start.Add(-24 * time.Hour)

	for _, step := range []struct {
		reason  string
		after   time.Duration
		lease   *coordinationv1.Lease
		unheard bool
		want    time.Duration
	}{
		{reason: "A lease that is first seen counts as a heartbeat now, however old.", lease: renewed(yesterday)},
		{reason: "The same renewal is no heartbeat.", after: 30 * time.Second, lease: renewed(yesterday), want: 30 * time.Second},
		{reason: "A missing lease is no heartbeat.", after: 5 * time.Second, want: 35 * time.Second},
		{reason: "A different renewal is one, by our clock and not the syncer's.", after: 5 * time.Second, lease: renewed(start.Add(time.Hour))},
		{reason: "Time runs from there.", after: time.Second, lease: renewed(start.Add(time.Hour)), want: time.Second},
		{reason: "To be marked as not heard of is no heartbeat.", after: time.Minute, lease: renewed(start.Add(time.Hour)), unheard: true, want: 61 * time.Second},
		{reason: "To have the mark replaced by a report is one, though the lease has not been seen yet.", after: time.Minute, lease: renewed(start.Add(time.Hour))},
	} {
		clock.SetTime(clock.Now().Add(step.after))
		beats.observeReport("m1", step.unheard)
		if diff := cmp.Diff(step.want, beats.observeLease("m1", step.lease)); diff != "" {
			t.Errorf("\n%s\nobserveLease(...): -want, +got:\n%s", step.reason, diff)
		}
	}
	beats.forget("m1")
	if age := beats.observeLease("m1", nil); age != 0 {
		t.Errorf("\nA member that was forgotten starts anew.\nobserveLease(...): want 0, got %s", age)
	}
}
