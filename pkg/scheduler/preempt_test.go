// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/policy"
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
		for range 12 {
			time.Sleep(20 * time.Second)
			h.settle()
			if lost := 20 - replicasIn(h, low) - replicasIn(h, other); lost != 4 {
				t.Fatalf("replicas that made room before any was reported: want 4, got %d", lost)
			}
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

// TestLossOnce has something fail after the replicas went.
func TestLossOnce(t *testing.T) {
	failure := errors.New("connection reset by peer")
	cases := map[string]struct {
		reason string
		fail   func(f *fakeBindings, binding string)
	}{
		"Status": {
			reason: "What was written is not taken away again because the complaint was not.",
			fail:   func(f *fakeBindings, binding string) { f.failStatus = map[string]error{binding: failure} },
		},
		"Answer": {
			reason: "Nor because nobody heard that it was written.",
			fail:   func(f *fakeBindings, binding string) { f.lose = map[string]error{binding: failure} },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.classes()
				h.member("m1", pods(10))
				h.prioritized("low", byRoom(), class("low"))
				h.prioritized("high", byRoom(), class("high"))
				low := h.create(deployment("low", 8))
				h.settle()
				h.report(map[string]int64{"m1": 2})
				tc.fail(h.store, h.store.of(low).GetName())
				h.create(deployment("high", 5))
				h.settle()
				h.settle()
				if len(h.store.failStatus)+len(h.store.lose) > 0 {
					t.Fatal("nothing failed")
				}
				h.want(low, "m1=5", tc.reason)
				want := "Unschedulable: preempted by Deployment.apps shop/high: 1/1 clusters are available: not enough capacity for 3 more replicas"
				if diff := cmp.Diff(want, h.message(low)); diff != "" {
					t.Errorf("\n%s\nmessage: -want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}

// TestClaimEndsEarly has a template need no room any more before others made it.
func TestClaimEndsEarly(t *testing.T) {
	cases := map[string]struct {
		reason string
		happen func(h *harness, high template.Key)
	}{
		"Placed": {reason: "It got other room.", happen: func(h *harness, high template.Key) {
			h.member("m2", pods(50))
			h.queue.Add(high)
		}},
		"Smaller": {reason: "It fits now.", happen: func(h *harness, _ template.Key) { h.create(deployment("high", 2)) }},
		"Deleted": {reason: "It is gone.", happen: func(h *harness, high template.Key) { h.delete(high) }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.classes()
				h.member("m1", pods(10))
				h.prioritized("low", byRoom(), class("low"))
				h.prioritized("high", byRoom(), class("high"))
				low := h.create(deployment("low", 8))
				h.settle()
				h.report(map[string]int64{"m1": 2})
				high := h.create(deployment("high", 5))
				h.scheduleOne(h.ctx)
				synctest.Wait()
				if h.preemptions.lossOf(low, h.clock.Now()) == nil {
					t.Fatal("nobody is to make room")
				}
				tc.happen(h, high)
				h.settle()
				h.want(low, "m1=8", tc.reason)
			})
		})
	}
}

// TestAutoscaledStay: who has an autoscaler in a member has as many replicas there as
// that says, whatever its binding gives it.
func TestAutoscaledStay(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.classes()
		h.member("m1", pods(10))
		h.prioritized("low", byRoom(), class("low"))
		p := h.policies.Get(policy.Ref{Name: "low"}).DeepCopyObject().(policyv1alpha1.Propagation)
		p.GetSpec().PropagateDeps = true
		h.setPropagation(h.ctx, p)
		h.prioritized("high", byRoom(), class("high"))
		autoscaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "low"}}
		autoscaler.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "low"}
		scales, low := h.create(autoscaler), h.create(deployment("low", 8))
		h.settle()
		h.want(scales, "+m1", "It goes along.")
		h.report(map[string]int64{"m1": 2})
		h.create(deployment("high", 5))
		h.settle()
		h.want(low, "m1=8", "The member would keep all of them.")
	})
}

// TestPreemptionWithFrozen has a part of who asks for room on a member that is being
// unjoined.
func TestPreemptionWithFrozen(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.classes()
		h.member("m1", pods(10))
		h.member("m2", pods(5))
		h.prioritized("low", within(byRoom(), "m1"), class("low"))
		h.prioritized("high", byRoom(), class("high"))
		low := h.create(deployment("low", 10))
		h.settle()
		h.report(map[string]int64{"m1": 0})
		high := h.create(deployment("high", 5))
		h.settle()
		h.want(high, "m2=5", "There is room.")
		h.report(map[string]int64{"m2": 0})
		h.member("m2", pods(0), leaving)
		h.settle()
		h.create(deployment("high", 7))
		h.settle()
		h.want(low, "m1=8", "The others are still counted where they are.")
	})
}

// TestTasksOfVictims: a member that is left keeps up what moves, not what makes room.
func TestTasksOfVictims(t *testing.T) {
	cases := map[string]struct {
		reason string
		placed map[string]int32
		want   []workv1alpha1.GracefulEvictionTask
	}{
		"None": {reason: "Nobody takes anything.", placed: map[string]int32{"m1": 5}, want: []workv1alpha1.GracefulEvictionTask{newTask("m1", 5)}},
		"Some": {reason: "What makes room does not wait for a replacement.", placed: map[string]int32{"m1": 2}, want: []workv1alpha1.GracefulEvictionTask{newTask("m1", 2)}},
		"All":  {reason: "Nothing is kept when all make room.", placed: map[string]int32{}},
	}
	before, after := []workv1alpha1.TargetCluster{{Name: "m1", Replicas: 5}}, []workv1alpha1.TargetCluster{{Name: "m2", Replicas: 5}}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			of := &subject{template: &template.Template{Workload: &template.Workload{Divisible: true}}, placed: tc.placed}
			if diff := cmp.Diff(tc.want, newTasks(of, before, after)); diff != "" {
				t.Errorf("\n%s\nnewTasks(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestTellLoss: replicas went when the binding that was written has them no more.
func TestTellLoss(t *testing.T) {
	cases := map[string]struct {
		reason   string
		clusters []workv1alpha1.TargetCluster
		want     bool
	}{
		"Less":  {reason: "They went.", clusters: []workv1alpha1.TargetCluster{{Name: "m1", Replicas: 3}, {Name: "m2", Replicas: 9}}, want: true},
		"Left":  {reason: "All of them.", want: true},
		"Stays": {reason: "Something else was written.", clusters: []workv1alpha1.TargetCluster{{Name: "m1", Replicas: 5}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				low := h.create(deployment("low", 5))
				keeps := map[string]int32{"m1": 3}
				h.preemptions.begin(template.Key{Name: "high"}, map[template.Key]map[string]int32{low: keeps}, h.clock.Now().Add(time.Minute))
				of := &subject{key: low, template: h.fleet.Get(low), loss: &loss{keeps: keeps, replicas: map[string]int32{"m1": 2}}}
				h.tellLoss(&decision{subject: of, spec: &workv1alpha1.BindingSpec{Clusters: tc.clusters}})
				if diff := cmp.Diff(tc.want, h.preemptions.lossOf(low, h.clock.Now()).gone); diff != "" {
					t.Errorf("\n%s\ngone: -want, +got:\n%s", tc.reason, diff)
				}
				if diff := cmp.Diff(tc.want, len(h.events.Events) > 0); diff != "" {
					t.Errorf("\n%s\ntold: -want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}

// TestWrittenCounts has the status of a decision fail whose spec was written: what it
// adds to a member still counts.
func TestWrittenCounts(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.prioritized("web", within(byRoom(), "m1"), nil)
		web := h.create(deployment("web", 4))
		h.settle()
		h.store.ask(web)
		h.store.deliver(h)
		h.prioritized("web", within(byRoom(), "m2"), nil)
		h.store.failStatus = map[string]error{h.store.of(web).GetName(): errors.New("connection reset by peer")}
		h.scheduleOne(h.ctx)
		synctest.Wait()
		if len(h.store.failStatus) > 0 {
			t.Fatal("nothing failed")
		}
		h.want(web, "m2=4 !m1", "It was written.")
		demand, err := capacity.NewDemand(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(int32(96), find(h.cache.Members(), "m2").Free.Room(demand, 0)); diff != "" {
			t.Errorf("room of m2: -want, +got:\n%s", diff)
		}
	})
}
