// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/discovery"
)

var (
	since     = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	awayA     = Cluster{Name: "a", Unready: "no lease", Since: since}
	sinceTold = `cluster "a" is lost since 2026-11-23T10:00:00Z: no lease`
)

func TestLost(t *testing.T) {
	podWith := func(conditions ...core.PodCondition) *core.Pod {
		return &core.Pod{Status: core.PodStatus{Phase: core.PodRunning, Conditions: conditions}}
	}
	nodeWith := func(conditions ...core.NodeCondition) *core.Node {
		return &core.Node{Status: core.NodeStatus{Conditions: conditions}}
	}
	scheduled := core.PodCondition{Type: core.PodScheduled, Status: core.ConditionTrue}
	sliceWith := func(conditions ...discovery.EndpointConditions) *discovery.EndpointSlice {
		slice := &discovery.EndpointSlice{}
		for i := range conditions {
			slice.Endpoints = append(slice.Endpoints, discovery.Endpoint{Addresses: []string{fmt.Sprint(i)}, Conditions: conditions[i]})
		}
		return slice
	}
	addresses := func(ready, notReady []string) *core.Endpoints {
		subset := core.EndpointSubset{Ports: []core.EndpointPort{{Port: 80}}}
		for _, ip := range ready {
			subset.Addresses = append(subset.Addresses, core.EndpointAddress{IP: ip})
		}
		for _, ip := range notReady {
			subset.NotReadyAddresses = append(subset.NotReadyAddresses, core.EndpointAddress{IP: ip})
		}
		return &core.Endpoints{Subsets: []core.EndpointSubset{subset}}
	}
	cases := map[string]struct {
		reason string
		kind   Kind
		seen   runtime.Object
		want   runtime.Object // nil for what was seen
	}{
		"Ready": {
			reason: "A Pod that was ready may not be so any more.", kind: Pods(testTemplates{}),
			seen: podWith(scheduled, core.PodCondition{Type: core.PodReady, Status: core.ConditionTrue}),
			want: podWith(scheduled, core.PodCondition{
				Type: core.PodReady, Status: core.ConditionFalse, Reason: "ClusterUnreachable", Message: sinceTold, LastTransitionTime: metav1.NewTime(since),
			}),
		},
		"NotReady": {
			reason: "One that was not says why.", kind: Pods(testTemplates{}),
			seen: podWith(core.PodCondition{Type: core.PodReady, Status: core.ConditionFalse, Reason: "PodCompleted"}),
		},
		"Pending": {reason: "One that did not start is not said to.", kind: Pods(testTemplates{}), seen: podWith(scheduled)},
		"Node": {
			reason: "Nobody knows what the kubelet would say; what others say of the Node stays.", kind: Nodes(),
			seen: nodeWith(
				core.NodeCondition{Type: core.NodeMemoryPressure, Status: core.ConditionFalse},
				core.NodeCondition{Type: "Clock", Status: core.ConditionFalse},
				core.NodeCondition{Type: core.NodeReady, Status: core.ConditionTrue}),
			want: nodeWith(
				core.NodeCondition{
					Type: core.NodeMemoryPressure, Status: core.ConditionUnknown, Reason: "NodeStatusUnknown", Message: sinceTold, LastTransitionTime: metav1.NewTime(since),
				},
				core.NodeCondition{Type: "Clock", Status: core.ConditionFalse},
				core.NodeCondition{
					Type: core.NodeReady, Status: core.ConditionUnknown, Reason: "NodeStatusUnknown", Message: sinceTold, LastTransitionTime: metav1.NewTime(since),
				}),
		},
		"NodeUnknown": {
			reason: "The member has lost it before.", kind: Nodes(),
			seen: nodeWith(core.NodeCondition{Type: core.NodeReady, Status: core.ConditionUnknown}),
		},
		"Slice": {
			reason: "Endpoints are not ready, and terminate if they did.", kind: EndpointSlices(everyService{}),
			seen: sliceWith(discovery.EndpointConditions{Ready: new(true)}, discovery.EndpointConditions{Serving: new(true), Terminating: new(true)}),
			want: sliceWith(discovery.EndpointConditions{Ready: new(false), Serving: new(false)},
				discovery.EndpointConditions{Ready: new(false), Serving: new(false), Terminating: new(true)}),
		},
		"SliceEmpty": {reason: "There are none.", kind: EndpointSlices(everyService{}), seen: sliceWith()},
		"Endpoints": {
			reason: "Addresses are not ready.", kind: Endpoints(everyService{}),
			seen: addresses([]string{"1"}, []string{"2"}), want: addresses(nil, []string{"2", "1"}),
		},
		"EndpointsNotReady": {reason: "They were not before.", kind: Endpoints(everyService{}), seen: addresses(nil, []string{"2"})},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := tc.seen.DeepCopyObject()
			got := shallowCopy(tc.seen)
			differs := tc.kind.Lost(got, awayA)
			if differs != (tc.want != nil) {
				t.Errorf("%s\nit shows another object: %t", tc.reason, differs)
			}
			if tc.want != nil {
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s\nshown (-want +got):\n%s", tc.reason, diff)
				}
			}
			if diff := cmp.Diff(before, tc.seen); diff != "" {
				t.Errorf("what was seen is shared and changed (-want +got):\n%s", diff)
			}
		})
	}
}

// reshowAll shows everything of a member that turned, and returns in how many steps.
func reshowAll(t *testing.T, u *union, member string) (steps int) {
	t.Helper()
	for last := u.position(); u.hasTurned(member); steps++ {
		u.reshow(member)
		now := u.position()
		if now-last > chunk<<serverBits {
			t.Fatalf("more than %d changes at once: from version %d to %d", chunk, last, now)
		}
		last = now
	}
	return steps
}

// readyPod is a Pod that a member says is ready.
func readyPod(key string, version uint64) observation {
	seen := seenPod(key, fmt.Sprint(version), version)
	seen.object.(*core.Pod).Status.Conditions = []core.PodCondition{{Type: core.PodReady, Status: core.ConditionTrue}}
	return seen
}

// readyShown lists what a union serves that is ready.
func readyShown(u *union) []string {
	var ready []string
	objects, _ := u.ledger.Snapshot()
	objects.Ascend(func(e *entry) bool {
		if isReady(e.Object.(*core.Pod)) {
			ready = append(ready, e.Key)
		}
		return true
	})
	return ready
}

func isReady(pod *core.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c core.PodCondition) bool {
		return c.Type == core.PodReady && c.Status == core.ConditionTrue
	})
}

// TestManyLost loses more Pods than are changed at once.
func TestManyLost(t *testing.T) {
	const pods = 2*chunk + 3
	kind := Pods(testTemplates{})
	u := newUnion(&kind, NoOwners{})
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	for n := range pods {
		u.put("a", readyPod(fmt.Sprintf("x/web-%d", n), 1), false)
	}
	u.put("b", readyPod("x/db", 1), false)
	kept := u.shownAs("a", "x/web-0").Object

	u.turn(awayA)
	if steps := reshowAll(t, u, "a"); steps != 3 {
		t.Errorf("%d Pods were marked in %d steps, want 3", pods, steps)
	}
	if diff := cmp.Diff([]string{"x/db"}, readyShown(u)); diff != "" {
		t.Errorf("ready while member a is lost (-want +got):\n%s", diff)
	}
	if at := u.claims.get("x/web-0", "a"); at.object != kept {
		t.Error("what was seen is not kept, or once more")
	}
	was := u.position()
	u.turn(Cluster{Name: "a", Unready: "still no lease", Since: since.Add(time.Hour)})
	if u.hasTurned("a") || u.position() != was {
		t.Error("a member that stays lost changes something")
	}
	u.turn(Cluster{Name: "a"})
	if steps := reshowAll(t, u, "a"); steps != 3 {
		t.Errorf("%d Pods were shown again in %d steps, want 3", pods, steps)
	}
	if got := readyShown(u); len(got) != pods+1 {
		t.Errorf("%d Pods are ready after the member was found, want %d", len(got), pods+1)
	}
	if at := u.claims.get("x/web-0", "a"); at.object != at.shown.Object {
		t.Error("a copy is kept of a Pod whose member is heard from")
	}
	if len(u.lost) > 0 || len(u.turned) > 0 {
		t.Errorf("something is kept of a member that is heard from: %v, %v", u.lost, u.turned)
	}
}

// TestChangesWhileLost has everything that changes what is shown happen to a lost member.
func TestChangesWhileLost(t *testing.T) {
	cases := map[string]struct {
		reason string
		do     func(u *union)
		want   []string // shown
		found  []string // ready afterwards
	}{
		"Late": {
			reason: "What a slow stream brings is of a lost member, too.",
			do: func(u *union) {
				u.put("a", readyPod("x/web", 2), false)
				u.put("a", readyPod("x/new", 2), false)
			},
			want: []string{"x/new=2", "x/web=2"}, found: []string{"x/new", "x/web"},
		},
		"Renamed": {
			reason: "A Pod stays marked under another name.",
			do:     func(u *union) { _ = u.putStored(podOf("x/web", "stored", "11")) },
			want:   []string{"x/web=stored", "x/web.a=1"}, found: []string{"x/web.a"},
		},
		"Loaded": {
			reason: "And when etcd is read anew.",
			do:     func(u *union) { _ = u.load(12, 1, []runtime.Object{podOf("x/web", "stored", "11")}) },
			want:   []string{"x/web=stored", "x/web.a=1"}, found: []string{"x/web.a"},
		},
		"FoundInBetween": {
			reason: "A member that was found before all was shown has nothing left to be marked.",
			do: func(u *union) {
				u.turn(Cluster{Name: "a"})
				u.turn(awayA)
			},
			want: []string{"x/web=1"}, found: []string{"x/web"},
		},
		"Gone": {
			reason: "What goes meanwhile is gone.",
			do:     func(u *union) { u.retain("a", nil, 9) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			kind := Pods(testTemplates{})
			u := newUnion(&kind, NoOwners{})
			if err := u.load(10, 1, nil); err != nil {
				t.Fatal(err)
			}
			u.put("a", readyPod("x/web", 1), false)
			u.turn(awayA)
			reshowAll(t, u, "a")
			tc.do(u)
			reshowAll(t, u, "a")
			if diff := cmp.Diff(tc.want, shownBy(t, u)); diff != "" {
				t.Errorf("%s\nshown (-want +got):\n%s", tc.reason, diff)
			}
			if ready := readyShown(u); len(ready) > 0 {
				t.Errorf("%s\nready while the member is lost: %v", tc.reason, ready)
			}
			u.turn(Cluster{Name: "a"})
			reshowAll(t, u, "a")
			if diff := cmp.Diff(tc.found, readyShown(u)); diff != "" {
				t.Errorf("%s\nready when it is found (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestOwnedWhileLost gives an owner to a Pod of a lost member.
func TestOwnedWhileLost(t *testing.T) {
	owners := &testOwners{known: map[string]Owner{}}
	kind := Pods(testTemplates{})
	u := newUnion(&kind, owners)
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	seen := readyPod("x/web", 1)
	seen.owner = "web"
	u.put("a", seen, false)
	u.turn(awayA)
	reshowAll(t, u, "a")
	owners.become("web", "1")
	u.reown("web")
	if diff := cmp.Diff([]string{"x/web: web 1 "}, ownersShown(u)); diff != "" || len(readyShown(u)) > 0 {
		t.Errorf("owners, ready %v (-want +got):\n%s", readyShown(u), diff)
	}
	u.turn(Cluster{Name: "a"})
	reshowAll(t, u, "a")
	if diff := cmp.Diff([]string{"x/web: web 1 "}, ownersShown(u)); diff != "" || len(readyShown(u)) != 1 {
		t.Errorf("owners of the member that was found, ready %v (-want +got):\n%s", readyShown(u), diff)
	}
}

// TestMemberIsLost watches Pods of a member that is lost and found, of which nothing can
// be read.
func TestMemberIsLost(t *testing.T) {
	members := newMembers(t, "a", "b")
	ready := func(name string) *unstructured.Unstructured {
		pod := memberPod(t, "default", name, "n1")
		if err := unstructured.SetNestedSlice(pod.Object, []any{map[string]any{"type": "Ready", "status": "True"}}, "status", "conditions"); err != nil {
			t.Fatal(err)
		}
		return pod
	}
	members.members["a"].Put(t, ready("web-1"))
	members.members["b"].Put(t, ready("web-2"))
	s := newServer(t, startEtcd(t), members)
	s.list(all())
	ctx, cancel := context.WithCancel(as("anna", "", "watch", ""))
	defer cancel()
	options := all()
	options.ResourceVersion = s.get("default", "web-1").ResourceVersion
	w, err := s.watch(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	told := func(reason, name string, want bool) {
		t.Helper()
		for {
			select {
			case event, open := <-w.ResultChan():
				pod, ok := event.Object.(*core.Pod)
				if !open || !ok {
					t.Fatalf("%s: the watch ended: %v", reason, event)
				}
				if pod.Name == "web-2" && name != "web-2" {
					continue // as it came
				}
				if event.Type != watch.Modified || pod.Name != name || isReady(pod) != want {
					t.Fatalf("%s: got %s of %s, ready: %t", reason, event.Type, pod.Name, isReady(pod))
				}
				if got := s.get("default", name); isReady(got) != want || got.ResourceVersion != pod.ResourceVersion {
					t.Fatalf("%s: read %s at version %s, ready: %t, want what the watch told, version %s", reason, name, got.ResourceVersion, isReady(got), pod.ResourceVersion)
				}
				return
			case <-time.After(waitLong):
				t.Fatalf("%s: the watch says nothing", reason)
			}
		}
	}
	a := members.members["a"]
	a.setSilent(true)
	a.ResetRequests()
	stored := s.revision()
	members.setUnready("a", "no lease")
	told("the member is lost", "web-1", false)
	members.setUnready("a", "")
	told("the member is found", "web-1", true)
	members.setUnready("a", "no lease")
	told("the member is lost again", "web-1", false)
	if asked := a.Requests(); len(asked) > 0 {
		t.Errorf("the member was asked: %v", asked)
	}
	if now := s.revision(); now != stored {
		t.Errorf("etcd is at revision %d after %d: something was written", now, stored)
	}

	a.Edit(t, "Pod", "default", "web-1", func(pod *unstructured.Unstructured) { pod.SetAnnotations(map[string]string{"late": "yes"}) })
	a.setSilent(false)
	told("the member tells more, and nobody hears from its syncer", "web-1", false)
	if got := s.get("default", "web-1"); got.Annotations["late"] != "yes" {
		t.Errorf("read %v, want what the member told", got.Annotations)
	}
	if isReady(s.get("default", "web-2")) != true {
		t.Error("a Pod of another member is not ready")
	}

	again := newServer(t, startEtcd(t), members)
	eventually(t, "a server that starts while the member is lost shows it marked", func() bool {
		got, said := again.list(all())
		return len(got) == 2 && len(said) == 1
	})
	if isReady(again.get("default", "web-1")) || !isReady(again.get("default", "web-2")) {
		t.Error("ready are Pods of the lost member, or none of the other")
	}
}

// revision is how far etcd is.
func (s *server) revision() int64 {
	s.t.Helper()
	answer, err := s.etcd.Get(s.t.Context(), "/none")
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.Header.Revision
}

// TestUnreachable cuts what a member says of itself: it is told once for each object.
func TestUnreachable(t *testing.T) {
	long := unreachable(Cluster{Name: "a", Unready: strings.Repeat("ä", 40_000)})
	if len(long) > 2*whyLength || !strings.HasSuffix(long, "ä...") {
		t.Errorf("unreachable() is %d bytes and ends in %q, want it cut between letters", len(long), long[max(0, len(long)-8):])
	}
}
