// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// prioritized is a policy for Deployments of a name.
func (h *harness) prioritized(name string, placement policyv1alpha1.Placement, priority *policyv1alpha1.SchedulePriority) {
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment", Name: name}}
	p.Spec.Placement = placement
	p.Spec.SchedulePriority = priority
	h.setPropagation(h.ctx, p)
}

func class(name string) *policyv1alpha1.SchedulePriority {
	return &policyv1alpha1.SchedulePriority{PriorityClassSource: policyv1alpha1.KubePriorityClass, PriorityClassName: name}
}

func priorityClass(name string, value int32) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value}
}

func TestSchedulePriority(t *testing.T) {
	ofPods := &policyv1alpha1.SchedulePriority{PriorityClassSource: policyv1alpha1.PodPriorityClass}
	cases := map[string]struct {
		reason  string
		asked   *policyv1alpha1.SchedulePriority
		pods    string // the class the Pods name
		classes []*schedulingv1.PriorityClass
		want    *int32
		message string
	}{
		"NotAsked": {reason: "Without a wish there is no priority, whatever the Pods say.", pods: "high", classes: []*schedulingv1.PriorityClass{priorityClass("high", 9)}},
		"ByName":   {reason: "The class that the policy names.", asked: class("high"), classes: []*schedulingv1.PriorityClass{priorityClass("high", 9)}, want: ptr.To[int32](9)},
		"System":   {reason: "Classes of the system stay in the fleet, and count.", asked: class("system-node-critical"), classes: []*schedulingv1.PriorityClass{priorityClass("system-node-critical", 2_000_001_000)}, want: ptr.To[int32](2_000_001_000)},
		"ByPods":   {reason: "The class that the Pods name.", asked: ofPods, pods: "low", classes: []*schedulingv1.PriorityClass{priorityClass("high", 9), priorityClass("low", -3)}, want: ptr.To[int32](-3)},
		"Default": {
			reason: "Pods that name none have the default, the lowest of several.", asked: ofPods,
			classes: []*schedulingv1.PriorityClass{
				{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Value: 7, GlobalDefault: true}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}, Value: 5, GlobalDefault: true}, priorityClass("c", 1),
			},
			want: ptr.To[int32](5),
		},
		"NoDefault": {reason: "Else 0.", asked: ofPods, want: ptr.To[int32](0)},
		"Missing":   {reason: "A class that does not exist is waited for.", asked: class("high"), message: `Unschedulable: priority class "high", which the policy asks for, does not exist`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.member("m1")
				for _, c := range tc.classes {
					h.create(c)
				}
				h.prioritized("web", byRoom(), tc.asked)
				d := deployment("web", 2)
				d.Spec.Template.Spec.PriorityClassName = tc.pods
				key := h.create(d)
				h.settle()
				binding := h.store.of(key)
				var got *int32
				if p := binding.GetSpec().SchedulePriority; p != nil {
					got = &p.Priority
				}
				if ptr.Deref(got, -1) != ptr.Deref(tc.want, -1) || (got == nil) != (tc.want == nil) {
					t.Errorf("\n%s\npriority: want %v, got %v", tc.reason, ptr.Deref(tc.want, -1), ptr.Deref(got, -1))
				}
				if got := h.message(key); got != tc.message {
					t.Errorf("\n%s\nmessage: want %q, got %q", tc.reason, tc.message, got)
				}
			})
		})
	}
}

func TestPriorityClassComesAndGoes(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.prioritized("web", byRoom(), class("high"))
		web := h.create(deployment("web", 2))
		h.settle()
		h.want(web, "", "The class does not exist.")

		high := h.create(priorityClass("high", 9))
		time.Sleep(time.Minute)
		h.settle()
		h.want(web, "m1=2", "It was waited for.")

		h.delete(high)
		h.create(deployment("web", 3))
		h.settle()
		h.want(web, "m1=3", "What has a priority keeps it.")
		if got := h.store.of(web).GetSpec().SchedulePriority; got == nil || got.Priority != 9 {
			t.Errorf("priority after the class was deleted: want 9, got %v", got)
		}
	})
}

func TestReadPriorityClass(t *testing.T) {
	never := priorityClass("calm", 3)
	never.PreemptionPolicy = ptr.To(corev1.PreemptNever)
	inBubble(t, func(h *harness) {
		for name, tc := range map[string]struct {
			class *schedulingv1.PriorityClass
			want  template.Priority
		}{
			"Preempts": {priorityClass("high", 9), template.Priority{Value: 9, Preempts: true}},
			"Never":    {never, template.Priority{Value: 3}},
		} {
			if got := h.fleet.Get(h.create(tc.class)).Priority; got == nil || *got != tc.want {
				t.Errorf("%s: want %+v, got %+v", name, tc.want, got)
			}
		}
	})
}
