// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

var webTarget = objectIdentity{kind: schema.GroupKind{Group: "apps", Kind: "Deployment"}, key: "shop/web"}

// podOf is a Pod of Deployment web.
func podOf(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"pod-template-hash": "6d4b75cb6d"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-6d4b75cb6d", Controller: new(true)}},
	}}
	for _, c := range change {
		c(p)
	}
	return p
}

// without a node since then.
func without(since time.Time) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, LastTransitionTime: metav1.NewTime(since),
		}}
	}
}

func on(node string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = node } }

func ownedBy(apiVersion, kind, name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Labels = nil
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, Controller: new(true)}}
	}
}

func cut(t *testing.T, p *corev1.Pod) *pod {
	t.Helper()
	made, err := cutPod(p)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestOwnerOf(t *testing.T) {
	identity := func(group, kind, key string) objectIdentity {
		return objectIdentity{kind: schema.GroupKind{Group: group, Kind: kind}, key: key}
	}
	cases := map[string]struct {
		reason string
		pod    *corev1.Pod
		want   objectIdentity
	}{
		"Deployment": {reason: "A ReplicaSet of a Deployment is named after it.", pod: podOf("a"), want: webTarget},
		"Rollout": {
			reason: "So is one of an Argo Rollout.",
			pod: podOf("a", ownedBy("apps/v1", "ReplicaSet", "web-5f6c"), func(p *corev1.Pod) {
				p.Labels = map[string]string{"rollouts-pod-template-hash": "5f6c"}
			}),
			want: identity("argoproj.io", "Rollout", "shop/web"),
		},
		"ReplicaSet":  {reason: "This one is nobody's.", pod: podOf("a", ownedBy("apps/v1", "ReplicaSet", "web")), want: identity("apps", "ReplicaSet", "shop/web")},
		"StatefulSet": {reason: "It owns its Pods itself.", pod: podOf("a", ownedBy("apps/v1", "StatefulSet", "db")), want: identity("apps", "StatefulSet", "shop/db")},
		"Custom":      {reason: "So do custom resources.", pod: podOf("a", ownedBy("example.com/v2", "Ring", "r")), want: identity("example.com", "Ring", "shop/r")},
		"Alone":       {reason: "It belongs to nobody.", pod: podOf("a", func(p *corev1.Pod) { p.OwnerReferences = nil }), want: identity("", "Pod", "shop/a")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := ownerOf(tc.pod); got != tc.want {
				t.Errorf("\n%s\nownerOf(...): want %+v, got %+v", tc.reason, tc.want, got)
			}
		})
	}
}

func TestUnschedulable(t *testing.T) {
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := clocktesting.NewFakePassiveClock(start)
	u := newUnschedulable(clock)
	pods := map[string]*pod{}
	steps := []struct {
		reason  string
		at      time.Duration
		set     *corev1.Pod
		gone    string
		matters bool
		want    *workv1alpha1.UnschedulablePods
		again   time.Duration
	}{
		{reason: "A Pod that nobody looked at yet waits for nothing.", set: podOf("a")},
		{reason: "No node is found; that may change soon.", set: podOf("a", without(start)), matters: true, again: unschedulableAfter},
		{reason: "A change of something else is no news.", at: 4 * time.Second, set: podOf("a", without(start)), again: unschedulableAfter - 4*time.Second},
		{
			reason: "A second one.", at: 4 * time.Second, set: podOf("b", without(start.Add(4*time.Second))), matters: true,
			again: unschedulableAfter - 4*time.Second,
		},
		{
			reason: "The first has waited for long.", at: 10 * time.Second,
			want: &workv1alpha1.UnschedulablePods{Count: 1, Since: metav1.NewTime(start)}, again: 4 * time.Second,
		},
		{
			reason: "So has the second; so many there are since it came.", at: 20 * time.Second,
			want: &workv1alpha1.UnschedulablePods{Count: 2, Since: metav1.NewTime(start.Add(4 * time.Second))},
		},
		{
			reason: "One finds a node.", at: 20 * time.Second, set: podOf("b", on("n1")), matters: true,
			want: &workv1alpha1.UnschedulablePods{Count: 1, Since: metav1.NewTime(start)},
		},
		{
			reason: "One that is being deleted does not want any.", at: 20 * time.Second, matters: true,
			set: podOf("a", without(start), func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(start)) }),
		},
		{
			reason: "Another waits.", at: 30 * time.Second, set: podOf("c", without(start)), matters: true,
			want: &workv1alpha1.UnschedulablePods{Count: 1, Since: metav1.NewTime(start)},
		},
		{reason: "It is gone.", at: 30 * time.Second, gone: "c", matters: true},
	}
	for _, step := range steps {
		clock.SetTime(start.Add(step.at))
		var matters bool
		if step.set != nil {
			now := cut(t, step.set)
			matters = u.follow(pods[step.set.Name], now)
			pods[step.set.Name] = now
		}
		if step.gone != "" {
			matters = u.follow(pods[step.gone], nil)
		}
		if matters != step.matters {
			t.Errorf("\n%s\nfollow(...): want %v, got %v", step.reason, step.matters, matters)
		}
		got, again := u.of(webTarget)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("\n%s\nof(...): -want, +got:\n%s", step.reason, diff)
		}
		if again != step.again {
			t.Errorf("\n%s\nof(...): want again after %s, got %s", step.reason, step.again, again)
		}
	}
	if len(u.since) > 0 {
		t.Errorf("want nothing kept of Pods that are gone, got %v", u.since)
	}
}

// TestReportUnschedulable: Pods without a node are told with their work, and that they
// found one.
func TestReportUnschedulable(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("web", webDeployment)
	r.await("web", "that it is applied", applied)
	long := time.Now().Add(-time.Minute)
	pending := cut(t, podOf("a", without(long)))
	r.session.podChanged(nil, pending)
	item := r.await("web", "that a Pod has no node", func(item workv1alpha1.FeedbackItem) bool { return item.Unschedulable != nil })
	want := &workv1alpha1.UnschedulablePods{Count: 1, Since: metav1.NewTime(long)}
	if diff := cmp.Diff(want, item.Unschedulable); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
	batches := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.batches
	}
	r.settle()
	told := batches()
	again := cut(t, podOf("a", without(long), func(p *corev1.Pod) { p.Labels["x"] = "y" }))
	r.session.podChanged(pending, again)
	r.settle()
	if now := batches(); now != told {
		t.Errorf("the same is told once: want %d requests, got %d", told, now)
	}
	r.session.podChanged(again, cut(t, podOf("a", on("n1"))))
	r.await("web", "that all have a node", func(item workv1alpha1.FeedbackItem) bool { return item.Unschedulable == nil })
}

func TestNotRunning(t *testing.T) {
	since := metav1.NewTime(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	waiting := func(count int32) *workv1alpha1.UnschedulablePods {
		if count == 0 {
			return nil
		}
		return &workv1alpha1.UnschedulablePods{Count: count, Since: since}
	}
	cases := map[string]struct {
		reason   string
		manifest string
		status   string
		waiting  int32
		want     int32
	}{
		"None":     {reason: "All have a node.", manifest: `{"spec":{"replicas":2}}`, status: `{"replicas":2,"readyReplicas":2}`},
		"Starting": {reason: "None runs.", manifest: `{"spec":{"replicas":2}}`, status: `{"replicas":2}`, waiting: 2, want: 2},
		"Surge": {
			reason:   "The only Pod serves while the one that is to replace it waits.",
			manifest: `{"spec":{"replicas":1}}`, status: `{"replicas":2,"readyReplicas":1}`, waiting: 1,
		},
		"SurgeOfUnready": {
			reason:   "A Pod that is not ready for a moment has a node.",
			manifest: `{"spec":{"replicas":1}}`, status: `{"replicas":2}`, waiting: 1,
		},
		"StaleStatus": {
			reason:   "The status does not count the replacement yet.",
			manifest: `{"spec":{"replicas":1}}`, status: `{"replicas":1,"readyReplicas":1}`, waiting: 1,
		},
		"InPart": {
			reason:   "Three of five are replaced, one of those is down.",
			manifest: `{"spec":{"replicas":5}}`, status: `{"replicas":7,"readyReplicas":4}`, waiting: 3, want: 1,
		},
		"Crashing": {
			reason:   "What has a node and is not ready does not want another.",
			manifest: `{"spec":{"replicas":3}}`, status: `{"replicas":3}`, waiting: 1, want: 1,
		},
		"Uncounted": {reason: "A Job has no replicas.", manifest: `{"spec":{"parallelism":2}}`, status: `{"active":2}`, waiting: 2, want: 2},
		"Custom":    {reason: "Its replicas are no number.", manifest: `{"spec":{"replicas":[{"zone":"a"}]}}`, status: `{}`, waiting: 2, want: 2},
		"NoStatus":  {reason: "Nobody says how many there are.", manifest: `{"spec":{"replicas":2}}`, waiting: 2, want: 2},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			object := &observed{manifest: []byte(tc.manifest)}
			if tc.status != "" {
				object.status = []byte(tc.status)
			}
			if diff := cmp.Diff(waiting(tc.want), notRunning(waiting(tc.waiting), object)); diff != "" {
				t.Errorf("\n%s\nnotRunning(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	if got := notRunning(waiting(1), nil); got != nil {
		t.Errorf("notRunning(...): nothing is known of an object that is not there: got %+v", got)
	}
}
