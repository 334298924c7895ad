// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// classes are those of the tests.
func (h *harness) classes() {
	h.create(priorityClass("low", 1))
	h.create(priorityClass("high", 100))
	h.create(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "patient"}, Value: 100, PreemptionPolicy: ptr.To(corev1.PreemptNever)})
}

// report has members say how much is left, when all promises have lapsed.
func (h *harness) report(left map[string]int64) {
	time.Sleep(time.Hour)
	for name, n := range left {
		h.member(name, pods(n))
	}
	h.settle()
}

func within(placement policyv1alpha1.Placement, members ...string) policyv1alpha1.Placement {
	placement.ClusterAffinities, placement.ClusterAffinity = nil, new(named(members...))
	return placement
}

func TestPreemption(t *testing.T) {
	auto := policyv1alpha1.Placement{Auto: &policyv1alpha1.AutoPlacement{}}
	spread := byRoom()
	spread.SpreadConstraints = []policyv1alpha1.SpreadConstraint{{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: 1}}
	cases := map[string]struct {
		reason    string
		low, high policyv1alpha1.Placement
		class     string // of high
		replicas  int32
		wantLow   string
		wantHigh  string
		message   string // of low
	}{
		"Fewest": {
			reason: "Two fit, three make room.", low: byRoom(), high: byRoom(), class: "high", replicas: 5,
			wantLow: "m1=5", wantHigh: "m1=5", message: "Unschedulable: preempted by Deployment.apps shop/high: 1/1 clusters are available: not enough capacity for 3 more replicas",
		},
		"All": {
			reason: "All make room.", low: byRoom(), high: byRoom(), class: "high", replicas: 10,
			wantLow: "-m1", wantHigh: "m1=10", message: "Unschedulable: preempted by Deployment.apps shop/high: 1/1 clusters are available: not enough capacity for 8 more replicas",
		},
		"InVain":    {reason: "All together are too few, so none goes.", low: byRoom(), high: byRoom(), class: "high", replicas: 11, wantLow: "m1=8"},
		"Never":     {reason: "A class with preemptionPolicy Never waits.", low: byRoom(), high: byRoom(), class: "patient", replicas: 5, wantLow: "m1=8"},
		"SameClass": {reason: "Those of the same priority stay.", low: byRoom(), high: byRoom(), class: "low", replicas: 5, wantLow: "m1=8"},
		"NoClass":   {reason: "Who asks for no priority waits.", low: byRoom(), high: byRoom(), replicas: 5, wantLow: "m1=8"},
		"Automatic": {
			reason: "Automatic placement yields too, and does not wait in the member for the room it made.", low: auto, high: byRoom(), class: "high", replicas: 5,
			wantLow: "m1=5", wantHigh: "m1=5", message: "Unschedulable: preempted by Deployment.apps shop/high: 1/1 clusters are available: not enough capacity for 3 more replicas",
		},
		"Gang": {
			reason: "A gang goes as a whole.", low: gang(byRoom()), high: byRoom(), class: "high", replicas: 3,
			wantLow: "-m1", wantHigh: "m1=3", message: "Unschedulable: preempted by Deployment.apps shop/high: 1/1 clusters are available: not enough capacity for 8 more replicas",
		},
		"Spread": {reason: "Where constraints say how many places there have to be, nobody goes.", low: spread, high: byRoom(), class: "high", replicas: 5, wantLow: "m1=8"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.classes()
				h.member("m1", pods(10))
				h.prioritized("low", tc.low, class("low"))
				var priority *policyv1alpha1.SchedulePriority
				if tc.class != "" {
					priority = class(tc.class)
				}
				h.prioritized("high", tc.high, priority)
				low := h.create(deployment("low", 8))
				h.settle()
				h.report(map[string]int64{"m1": 2})
				high := h.create(deployment("high", tc.replicas))
				h.settle()
				h.want(high, "", "There is no room yet.")
				h.want(low, tc.wantLow, tc.reason)
				if got := h.message(low); got != tc.message {
					t.Errorf("\n%s\nmessage: want %q, got %q", tc.reason, tc.message, got)
				}
				if tc.wantHigh == "" {
					return
				}
				time.Sleep(2 * time.Second)
				left := 10 - int64(replicasIn(h, low))
				h.member("m1", pods(left))
				time.Sleep(15 * time.Second)
				h.settle()
				h.want(high, tc.wantHigh, "The room that was made is for it.")
				h.want(low, tc.wantLow, "It is not given back to who made it.")
			})
		})
	}
}

func replicasIn(h *harness, key template.Key) (n int32) {
	for _, cluster := range h.store.of(key).GetSpec().Clusters {
		n += cluster.Replicas
	}
	return n
}

func TestPreemptedGoElsewhere(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.classes()
		h.member("m1", pods(10))
		h.prioritized("low", byRoom(), class("low"))
		h.prioritized("high", within(byRoom(), "m1"), class("high"))
		low := h.create(deployment("low", 8))
		h.settle()
		h.member("m2", pods(9))
		h.report(map[string]int64{"m1": 2})
		h.create(deployment("high", 5))
		h.settle()
		h.want(low, "m1=5 m2=3", "What makes room goes where there is some, and leaves at once.")
		if got := h.message(low); got != "" {
			t.Errorf("all of it is placed: want no complaint, got %q", got)
		}
		told := false
		for range len(h.events.Events) {
			told = <-h.events.Events == "Warning Preempted 3 replicas on m1 made room for Deployment.apps shop/high" || told
		}
		if !told {
			t.Error("no event tells what went, and for whom")
		}
	})
}

// TestPreemptionOnce has the room come late: nobody else loses anything meanwhile.
func TestPreemptionOnce(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.classes()
		h.member("m1", pods(20))
		h.prioritized("low", byRoom(), class("low"))
		h.prioritized("other", byRoom(), class("low"))
		h.prioritized("high", byRoom(), class("high"))
		low, other := h.create(deployment("low", 10)), h.create(deployment("other", 10))
		h.settle()
		h.report(map[string]int64{"m1": 0})
		high := h.create(deployment("high", 4))
		h.settle()
		time.Sleep(20 * time.Second)
		h.settle()
		if lost := 20 - replicasIn(h, low) - replicasIn(h, other); lost != 4 {
			t.Errorf("replicas that made room before any was reported: want 4, got %d", lost)
		}

		h.delete(high)
		h.settle()
		h.member("m1", pods(4))
		time.Sleep(time.Minute)
		h.settle()
		if lost := 20 - replicasIn(h, low) - replicasIn(h, other); lost != 0 {
			t.Errorf("who made room gets it back when nobody needs it: %d replicas are missing", lost)
		}
	})
}
