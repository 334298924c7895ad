// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	testclock "k8s.io/utils/clock/testing"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/framework"
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
		{
			reason: "Where something was for a moment, the namespace has to go too,",
			do:     func() Change { return c.SetBinding(binding(config, "5")) },
			want:   Change{Namespace: "shop", Moved: true},
			landed: []string{"m1", "m2"},
		},
		{
			reason: "until it has been there.",
			do:     func() Change { return c.SetBinding(binding(template.Key{Kind: "Namespace", Name: "shop"}, "6", "m1")) },
			want:   Change{Moved: true},
			landed: []string{"m2"},
		},
		{
			reason: "A namespace that is there is not noted.",
			do: func() Change {
				c.SetBinding(binding(config, "7", "m1"))
				return c.SetBinding(binding(config, "8"))
			},
			want:   Change{Namespace: "shop", Moved: true},
			landed: []string{"m2"},
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
	c.ForgetNamespace("shop")
	if got := c.Landed("shop"); len(got) > 0 {
		t.Errorf("a namespace that is gone is nowhere, got %v", got)
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

func TestCarrier(t *testing.T) {
	c, _ := newCache()
	name := types.NamespacedName{Namespace: "shop", Name: "web"}
	carrying := binding(web, "1", "m1")
	carrying.Spec.PropagateDeps = true
	steps := []struct {
		reason string
		do     func()
		want   bool
	}{
		{reason: "Its needs stay behind.", do: func() { c.SetBinding(binding(web, "1", "m1")) }},
		{reason: "They go along.", do: func() { c.SetBinding(carrying) }, want: true},
		{reason: "They do no more.", do: func() { c.SetBinding(binding(web, "1", "m1")) }},
		{reason: "They do again.", do: func() { c.SetBinding(carrying) }, want: true},
		{reason: "The binding is gone.", do: func() { c.RemoveBinding(carrying) }},
	}
	for _, step := range steps {
		step.do()
		key, got := c.Carrier(name)
		if got != step.want || got && key != web {
			t.Errorf("\n%s\nCarrier(...): want %v, got %v, %v", step.reason, step.want, key, got)
		}
	}
}

// reporting is a member with so many Pods free on one node, that has seen the works
// of a revision.
func reporting(name string, pods int64, revision uint64) *clusterv1alpha1.Cluster {
	seen := ""
	if revision > 0 {
		seen = strconv.FormatUint(revision<<workv1alpha1.WorkPlaceBits+3, 10)
	}
	free := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(pods, resource.DecimalSI)}
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{
			Classes:             []clusterv1alpha1.CapacityClass{{Name: "a", Nodes: 1, Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: free}}}},
			ObservedWorkVersion: seen,
		}},
	}
}

func TestPromises(t *testing.T) {
	demand, err := capacity.NewDemand(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	loads := func(n int32) map[string][]capacity.Load {
		load := []capacity.Load{{Demand: demand, Replicas: n}}
		return map[string][]capacity.Load{"m1": load, "gone": load}
	}
	api := template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "api"}
	room := func(members []*framework.Member) int32 { return members[0].Free.Room(demand, 0) }
	cases := map[string]struct {
		reason string
		happen func(c *Cache, clock *testclock.FakePassiveClock)
		want   int32
	}{
		"Both":      {reason: "Promises add up.", happen: func(*Cache, *testclock.FakePassiveClock) {}, want: 5},
		"Report":    {reason: "A report that does not say what it has seen keeps them.", happen: func(c *Cache, _ *testclock.FakePassiveClock) { c.SetMember(reporting("m1", 8, 0)) }, want: 3},
		"Unwritten": {reason: "What was not written cannot have been seen.", happen: func(c *Cache, _ *testclock.FakePassiveClock) { c.SetMember(reporting("m1", 8, 99)) }, want: 3},
		"Earlier": {
			reason: "A report that has seen less keeps a promise that was written later.",
			happen: func(c *Cache, _ *testclock.FakePassiveClock) {
				c.Confirm(binding(web, "7", "m1"))
				c.SetMember(reporting("m1", 10, 6))
			},
			want: 5,
		},
		"Seen": {
			reason: "What is in the report is not counted twice.",
			happen: func(c *Cache, _ *testclock.FakePassiveClock) {
				c.Confirm(binding(web, "7", "m1"))
				c.SetMember(reporting("m1", 7, 7))
			},
			want: 5,
		},
		"Forgotten": {reason: "A decision that was not written is no promise.", happen: func(c *Cache, _ *testclock.FakePassiveClock) { c.Forget(api) }, want: 7},
		"Lapsed":    {reason: "Promises lapse.", happen: func(_ *Cache, clock *testclock.FakePassiveClock) { clock.SetTime(time.Unix(12, 0)) }, want: 8},
		"AllLapsed": {reason: "All of them.", happen: func(_ *Cache, clock *testclock.FakePassiveClock) { clock.SetTime(time.Unix(15, 0)) }, want: 10},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, clock := newCache()
			c.SetMember(reporting("m1", 10, 0))
			before := c.Members()
			c.Assume(web, on("m1"), loads(3))
			clock.SetTime(time.Unix(5, 0))
			c.Assume(api, on("m1"), loads(2))
			tc.happen(c, clock)
			if got := room(c.Members()); got != tc.want {
				t.Errorf("\n%s\nroom: want %d, got %d", tc.reason, tc.want, got)
			}
			if got := room(before); got != 10 {
				t.Errorf("members handed out before changed: want room 10, got %d", got)
			}
			clock.SetTime(time.Unix(100, 0))
			c.Members()
			if left := len(c.promises.pending) + len(c.promises.byKey) + len(c.promises.byMember); left != 0 {
				t.Errorf("promises that ended are kept: %d", left)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	demand, err := capacity.NewDemand(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, clock := newCache()
	c.SetMember(reporting("m1", 10, 0))
	check := func(reason string, want int32) {
		t.Helper()
		if got := c.Members()[0].Free.Room(demand, 0); got != want {
			t.Errorf("%s: want room %d, got %d", reason, want, got)
		}
	}
	c.Claim(web, map[string]capacity.Load{"m1": {Demand: demand, Replicas: 4}, "gone": {Demand: demand, Replicas: 4}})
	check("what is claimed is taken", 6)
	c.Confirm(binding(web, "7"))
	c.SetMember(reporting("m1", 10, 9))
	check("a report has not seen what was not decided", 6)
	c.Release(web)
	check("who claimed it has it", 10)
	c.ClaimAgain(web)
	check("and then taken again", 6)
	clock.SetTime(time.Unix(11, 0))
	check("a claim lapses like a promise", 10)
	c.ClaimAgain(web)
	check("until it is renewed", 6)
	c.Unclaim(web)
	check("it ends", 10)
	c.ClaimAgain(web)
	check("and is no more", 10)
	c.Assume(web, on("m1"), map[string][]capacity.Load{"m1": {{Demand: demand, Replicas: 3}}})
	c.Release(web)
	check("promises are no claims", 7)
}

func TestReplicasOn(t *testing.T) {
	c, _ := newCache()
	b := binding(web, "1", "m1", "m2")
	b.Spec.Clusters[1].Replicas = 3
	c.SetBinding(b)
	if got := []int32{c.ReplicasOn(web, "m1"), c.ReplicasOn(web, "m2"), c.ReplicasOn(web, "m3")}; !cmp.Equal(got, []int32{0, 3, 0}) {
		t.Errorf("ReplicasOn(...): want 0, 3 and 0, got %v", got)
	}
}

func TestTrim(t *testing.T) {
	b := binding(web, "1", "m1")
	b.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "x"}}
	b.Status = workv1alpha1.BindingStatus{
		Conditions: []metav1.Condition{{Type: workv1alpha1.ConditionFullyApplied}, {Type: workv1alpha1.ConditionScheduled}},
		AggregatedStatus: []workv1alpha1.AggregatedStatusItem{
			{ClusterName: "m1"}, {ClusterName: "m3", AppliedMessage: "long", Unschedulable: &workv1alpha1.UnschedulablePods{Count: 1}},
		},
		Reasons: []workv1alpha1.ClusterReason{{ClusterName: "m2"}},
	}
	want := binding(web, "1", "m1")
	want.Status = workv1alpha1.BindingStatus{
		Conditions:       []metav1.Condition{{Type: workv1alpha1.ConditionScheduled}},
		AggregatedStatus: []workv1alpha1.AggregatedStatusItem{{ClusterName: "m3", Unschedulable: &workv1alpha1.UnschedulablePods{Count: 1}}},
		Reasons:          []workv1alpha1.ClusterReason{{ClusterName: "m2"}},
	}
	got, err := Trim(b)
	if diff := cmp.Diff(any(want), got); diff != "" || err != nil {
		t.Errorf("Trim(...): %v, -want, +got:\n%s", err, diff)
	}
}

func TestSetRuns(t *testing.T) {
	c := New(testclock.NewFakePassiveClock(time.Now()), time.Minute)
	rollout := template.Key{Group: "argoproj.io", Kind: "Rollout", Namespace: "shop", Name: "web"}
	c.Assume(rollout, []workv1alpha1.TargetCluster{{Name: "m1"}}, nil)
	steps := []struct {
		reason    string
		do        func() []string
		told      []string
		footprint []string
	}{
		{reason: "Nothing tells that it runs Pods.", do: func() []string { return nil }, footprint: []string{}},
		{reason: "A customization does.", do: func() []string { return c.SetRuns(rollout.GroupKind(), true) }, told: []string{"shop"}, footprint: []string{"m1"}},
		{reason: "To be told again is no news.", do: func() []string { return c.SetRuns(rollout.GroupKind(), true) }, footprint: []string{"m1"}},
		{reason: "It moves as others do.", do: func() []string {
			c.Assume(rollout, []workv1alpha1.TargetCluster{{Name: "m2"}}, nil)
			return nil
		}, footprint: []string{"m2"}},
		{reason: "The customization goes.", do: func() []string { return c.SetRuns(rollout.GroupKind(), false) }, told: []string{"shop"}, footprint: []string{}},
		{reason: "Native kinds run Pods whatever is said.", do: func() []string { return c.SetRuns(schema.GroupKind{Group: "apps", Kind: "Deployment"}, true) }, footprint: []string{}},
	}
	for _, step := range steps {
		if diff := cmp.Diff(step.told, step.do()); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", step.reason, diff)
		}
		if diff := cmp.Diff(step.footprint, sets.List(c.Footprint("shop"))); diff != "" {
			t.Errorf("%s: footprint: -want, +got:\n%s", step.reason, diff)
		}
	}
}
