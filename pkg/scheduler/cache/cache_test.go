// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	testclock "k8s.io/utils/clock/testing"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

var web = template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}

func newCache() (*Cache, *testclock.FakePassiveClock) {
	clock := testclock.NewFakePassiveClock(time.Unix(0, 0))
	return New(clock, 10*time.Second), clock
}

func on(members ...string) []workv1alpha1.TargetCluster {
	var out []workv1alpha1.TargetCluster
	for _, name := range members {
		out = append(out, workv1alpha1.TargetCluster{Name: name})
	}
	return out
}

func binding(key template.Key, version string, members ...string) *workv1alpha1.ResourceBinding {
	apiVersion := "v1"
	if key.Group != "" {
		apiVersion = key.Group + "/v1"
	}
	b := &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "1", ResourceVersion: version}}
	b.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: apiVersion, Kind: key.Kind, Namespace: key.Namespace, Name: key.Name}
	b.Spec.Clusters = on(members...)
	return b
}

func members(c *Cache, key template.Key) []string { return sets.List(c.MembersOf(key)) }

func TestLifeOfADecision(t *testing.T) {
	c, _ := newCache()
	c.Assume(web, on("m1"), nil)
	if diff := cmp.Diff([]string{"m1"}, members(c, web)); diff != "" {
		t.Errorf("a decision counts at once: -want, +got:\n%s", diff)
	}
	c.SetBinding(binding(web, "1", "m2"))
	if diff := cmp.Diff([]string{"m1"}, members(c, web)); diff != "" {
		t.Errorf("an event does not undo what is being written: -want, +got:\n%s", diff)
	}
	c.Forget(web)
	if diff := cmp.Diff([]string{"m2"}, members(c, web)); diff != "" {
		t.Errorf("what was not written is forgotten: -want, +got:\n%s", diff)
	}
	c.Assume(web, on("m1"), nil)
	c.Confirm(binding(web, "5", "m1"))
	c.SetBinding(binding(web, "3", "m3"))
	if diff := cmp.Diff([]string{"m1"}, members(c, web)); diff != "" {
		t.Errorf("an event that comes late changes nothing: -want, +got:\n%s", diff)
	}
	c.SetBinding(binding(web, "6", "m4"))
	if diff := cmp.Diff([]string{"m4"}, members(c, web)); diff != "" {
		t.Errorf("a newer one does: -want, +got:\n%s", diff)
	}
	c.RemoveBinding(binding(web, "6"))
	if len(members(c, web)) > 0 || c.Binding(web) != nil || len(c.placements) > 0 {
		t.Errorf("a deleted binding leaves traces: %v", c.placements)
	}
}

func TestFootprints(t *testing.T) {
	c, _ := newCache()
	config := template.Key{Kind: "ConfigMap", Namespace: "shop", Name: "config"}
	steps := []struct {
		reason string
		do     func() Change
		want   Change
		foot   []string
		landed []string
	}{
		{
			reason: "The first workload makes a footprint.",
			do:     func() Change { return c.SetBinding(binding(web, "1", "m1")) },
			want:   Change{Namespace: "shop", Footprint: true, Landed: true, Moved: true},
			foot:   []string{"m1"}, landed: []string{"m1"},
		},
		{
			reason: "Configuration lands, but is no workload.",
			do:     func() Change { return c.SetBinding(binding(config, "1", "m1", "m2")) },
			want:   Change{Namespace: "shop", Landed: true, Moved: true},
			foot:   []string{"m1"}, landed: []string{"m1", "m2"},
		},
		{
			reason: "The same placement is no change.",
			do:     func() Change { return c.SetBinding(binding(web, "2", "m1")) },
			want:   Change{Namespace: "shop"},
			foot:   []string{"m1"}, landed: []string{"m1", "m2"},
		},
		{
			reason: "A workload that moves grows and shrinks it.",
			do:     func() Change { return c.SetBinding(binding(web, "3", "m2")) },
			want:   Change{Namespace: "shop", Footprint: true, Moved: true},
			foot:   []string{"m2"}, landed: []string{"m1", "m2"},
		},
		{
			reason: "The last workload takes it along.",
			do:     func() Change { return c.SetBinding(binding(web, "4")) },
			want:   Change{Namespace: "shop", Moved: true},
			landed: []string{"m1", "m2"},
		},
	}
	for _, step := range steps {
		if diff := cmp.Diff(step.want, step.do()); diff != "" {
			t.Errorf("\n%s\nchange: -want, +got:\n%s", step.reason, diff)
		}
		if diff := cmp.Diff(sets.New(step.foot...), c.Footprint("shop")); diff != "" {
			t.Errorf("\n%s\nFootprint(...): -want, +got:\n%s", step.reason, diff)
		}
		if diff := cmp.Diff(sets.New(step.landed...), c.Landed("shop")); diff != "" {
			t.Errorf("\n%s\nLanded(...): -want, +got:\n%s", step.reason, diff)
		}
	}
}

func TestIndexes(t *testing.T) {
	c, _ := newCache()
	followed := binding(web, "1", "m1", "m2")
	followed.Spec.Policy = &workv1alpha1.PolicyReference{Namespace: "shop", Name: "p"}
	c.SetBinding(followed)
	ref := policy.Ref{Namespace: "shop", Name: "p"}
	if diff := cmp.Diff([]template.Key{web}, c.Following(ref)); diff != "" {
		t.Errorf("Following(...): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff([]template.Key{web}, c.PlacedOn("m2")); diff != "" {
		t.Errorf("PlacedOn(...): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff([]template.Key{web}, c.OfKind(web.GroupKind())); diff != "" {
		t.Errorf("OfKind(...): -want, +got:\n%s", diff)
	}
	c.SetBinding(binding(web, "2", "m1"))
	if got := len(c.Following(ref)) + len(c.PlacedOn("m2")); got != 0 || len(c.byMember) != 1 || len(c.byPolicy) != 0 {
		t.Errorf("indexes keep what is no more: %v, %v", c.byMember, c.byPolicy)
	}
}

func TestPromises(t *testing.T) {
	c, clock := newCache()
	c.SetMember(&clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1"}})
	promised := func() int64 { return c.Members()[0].Promised[corev1.ResourcePods] }
	loads := func(n int64) map[string]capacity.Vector {
		return map[string]capacity.Vector{"m1": {corev1.ResourcePods: n}, "gone": {corev1.ResourcePods: n}}
	}
	api := template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "api"}

	before := c.Members()
	c.Assume(web, on("m1"), loads(3))
	clock.SetTime(time.Unix(5, 0))
	c.Assume(api, on("m1"), loads(2))
	if got := promised(); got != 5 {
		t.Errorf("promised after two decisions: want 5, got %d", got)
	}
	if got := before[0].Promised[corev1.ResourcePods]; got != 0 {
		t.Errorf("members handed out before changed: got %d", got)
	}
	c.SetMember(&clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1", Labels: map[string]string{"a": "b"}}})
	if got := promised(); got != 5 {
		t.Errorf("a report of the member keeps promises: want 5, got %d", got)
	}
	c.Forget(api)
	if got := promised(); got != 3 {
		t.Errorf("a decision that was not written is no promise: want 3, got %d", got)
	}
	clock.SetTime(time.Unix(10, 0))
	if got := promised(); got != 0 {
		t.Errorf("promises lapse: want 0, got %d", got)
	}
}

func TestTrim(t *testing.T) {
	b := binding(web, "1", "m1")
	b.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "x"}}
	b.Status = workv1alpha1.BindingStatus{
		Conditions:       []metav1.Condition{{Type: workv1alpha1.ConditionFullyApplied}, {Type: workv1alpha1.ConditionScheduled}},
		AggregatedStatus: []workv1alpha1.AggregatedStatusItem{{ClusterName: "m1"}},
		Reasons:          []workv1alpha1.ClusterReason{{ClusterName: "m2"}},
	}
	want := binding(web, "1", "m1")
	want.Status = workv1alpha1.BindingStatus{
		Conditions: []metav1.Condition{{Type: workv1alpha1.ConditionScheduled}},
		Reasons:    []workv1alpha1.ClusterReason{{ClusterName: "m2"}},
	}
	got, err := Trim(b)
	if diff := cmp.Diff(any(want), got); diff != "" || err != nil {
		t.Errorf("Trim(...): %v, -want, +got:\n%s", err, diff)
	}
}
