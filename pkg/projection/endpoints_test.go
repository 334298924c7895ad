// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

//nolint:staticcheck // Endpoints are deprecated, and read by many.
package projection

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/discovery"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install" // EndpointSlices

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// sliceOf is what a member makes for a Service that the fleet has there.
func sliceOf(change func(*discoveryv1.EndpointSlice)) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-x7k2p", ResourceVersion: "7",
			Labels: map[string]string{
				"app": "web", wellknown.LabelManagedBy: "fleet", discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: byEndpointSliceController,
			},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "Service", Name: "web", UID: "member's", Controller: new(true), BlockOwnerDeletion: new(true)},
			},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{
				Addresses: []string{"10.0.0.1"}, NodeName: new("n1"),
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "web-1", UID: "p1", ResourceVersion: "3"},
			},
			{Addresses: []string{"10.0.0.2"}},
		},
	}
	if change != nil {
		change(slice)
	}
	return slice
}

func TestEndpointSliceShown(t *testing.T) {
	kind := EndpointSlices(testTemplates{"/Service/shop/web": true})
	cases := map[string]struct {
		reason string
		member string
		slice  *discoveryv1.EndpointSlice
		want   bool
	}{
		"OfService":    {reason: "It is of a Service that the fleet has there.", member: "m", slice: sliceOf(nil), want: true},
		"OtherService": {reason: "Others carry the label of a fleet in vain.", member: "m", slice: sliceOf(func(s *discoveryv1.EndpointSlice) { s.Labels[discoveryv1.LabelServiceName] = "db" })},
		"OtherMember":  {reason: "The fleet has no such Service there.", member: "n", slice: sliceOf(nil)},
		"Copy": {
			reason: "A slice that a user stored is shown where it is stored.", member: "m",
			slice: sliceOf(func(s *discoveryv1.EndpointSlice) {
				s.Annotations = map[string]string{wellknown.AnnotationTemplateUID: "1"}
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			seen, shown, err := kind.observe(tc.member, tc.slice)
			if err != nil || shown != tc.want {
				t.Fatalf("%s\nobserve(...): want shown %t, got %t, %v", tc.reason, tc.want, shown, err)
			}
			if !shown {
				return
			}
			got := seen.object.(*discovery.EndpointSlice)
			want := &discovery.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "shop", Name: "web-x7k2p", ResourceVersion: "7",
					Labels: map[string]string{
						"app": "web", wellknown.LabelCluster: "m", discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: byEndpointSliceController,
					},
					OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", UID: "/Service/shop/web", Controller: new(true)}},
				},
				AddressType: discovery.AddressTypeIPv4,
				Endpoints: []discovery.Endpoint{
					{
						Addresses: []string{"10.0.0.1"}, NodeName: new("n1.m"),
						TargetRef: &core.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "web-1", UID: "p1"},
					},
					{Addresses: []string{"10.0.0.2"}},
				},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\nshown (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestSelectors selects in members what their controllers made for the fleet.
func TestSelectors(t *testing.T) {
	none := testTemplates{}
	cases := map[string]struct {
		reason string
		kind   Kind
		labels labels.Set
		want   bool
	}{
		"Slice": {reason: "A slice has the labels of its Service.", kind: EndpointSlices(none), labels: sliceOf(nil).Labels, want: true},
		"OtherFleet": {
			reason: "A member may be in two fleets.", kind: EndpointSlices(none),
			labels: labels.Set{wellknown.LabelManagedBy: "theirs", discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: byEndpointSliceController},
		},
		"OtherFleets": {reason: "Nor are its Endpoints shown.", kind: Endpoints(none), labels: labels.Set{wellknown.LabelManagedBy: "theirs"}},
		"OthersSlice": {reason: "The fleet's label is not on other Services.", kind: EndpointSlices(none), labels: labels.Set{discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: byEndpointSliceController}},
		"Mirrored":    {reason: "What mirrors Endpoints says the same in each member.", kind: EndpointSlices(none), labels: labels.Set{wellknown.LabelManagedBy: "fleet", discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: "endpointslicemirroring-controller.k8s.io"}},
		"Endpoints":   {reason: "Endpoints have the labels of their Service.", kind: Endpoints(none), labels: labels.Set{wellknown.LabelManagedBy: "fleet"}, want: true},
		"Job":         {reason: "A CronJob's Job has none of the fleet.", kind: Jobs(none), labels: labels.Set{"app": "web"}, want: true},
		"StoredJob":   {reason: "A copy of a stored one has.", kind: Jobs(none), labels: labels.Set{wellknown.LabelManagedBy: "fleet"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			selector, err := labels.Parse(tc.kind.selector("fleet"))
			if err != nil {
				t.Fatal(err)
			}
			if got := selector.Matches(tc.labels); got != tc.want {
				t.Errorf("%s\n%q selects %v: want %t, got %t", tc.reason, selector, tc.labels, tc.want, got)
			}
		})
	}
}

// endpointsOf are what a member made for Service web: ip, node and Pod of each address.
func endpointsOf(t *testing.T, member string, version int, ready, notReady []string) observation {
	t.Helper()
	address := func(ip string) corev1.EndpointAddress {
		return corev1.EndpointAddress{IP: ip, NodeName: new("n1"), TargetRef: &corev1.ObjectReference{
			Kind: "Pod", Namespace: "shop", Name: "web-" + member, UID: types.UID("pod of " + member), ResourceVersion: "3",
		}}
	}
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: "http", Port: 8080, Protocol: corev1.ProtocolTCP}}}
	for _, ip := range ready {
		subset.Addresses = append(subset.Addresses, address(ip))
	}
	for _, ip := range notReady {
		subset.NotReadyAddresses = append(subset.NotReadyAddresses, address(ip))
	}
	made := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web", ResourceVersion: fmt.Sprint(version), Labels: map[string]string{"app": "web", wellknown.LabelManagedBy: "fleet"},
		},
		Subsets: []corev1.EndpointSubset{subset},
	}
	kind := Endpoints(everyService{})
	seen, shown, err := kind.observe(member, made)
	if err != nil || !shown {
		t.Fatalf("observe Endpoints of member %q: shown %t, %v", member, shown, err)
	}
	return seen
}

func TestEndpointsMerged(t *testing.T) {
	type shownEndpoints struct {
		Labels          map[string]string
		Ready, NotReady []string
		Subsets         int
	}
	cases := map[string]struct {
		reason string
		do     func(u *union)
		want   []shownEndpoints
	}{
		"OneMember": {
			reason: "What one member has is shown as it is.",
			do:     func(u *union) { u.put("a", endpointsOf(t, "a", 1, []string{"10.0.0.1"}, nil), false) },
			want:   []shownEndpoints{{Labels: map[string]string{"app": "web", wellknown.LabelCluster: "a"}, Ready: []string{"10.0.0.1 n1.a"}, Subsets: 1}},
		},
		"Members": {
			reason: "What several have is one object, in which equal ports are together, and equal addresses are not.",
			do: func(u *union) {
				u.put("b", endpointsOf(t, "b", 1, []string{"10.0.0.1"}, []string{"10.0.0.3"}), false)
				u.put("a", endpointsOf(t, "a", 1, []string{"10.0.0.1"}, nil), false)
			},
			want: []shownEndpoints{{
				Labels: map[string]string{"app": "web", wellknown.LabelCluster: ""},
				Ready:  []string{"10.0.0.1 n1.a", "10.0.0.1 n1.b"}, NotReady: []string{"10.0.0.3 n1.b"}, Subsets: 1,
			}},
		},
		"MemberLeft": {
			reason: "One that has none any more is not in it.",
			do: func(u *union) {
				u.put("a", endpointsOf(t, "a", 1, []string{"10.0.0.1"}, nil), false)
				u.put("b", endpointsOf(t, "b", 1, []string{"10.0.0.2"}, nil), false)
				u.remove("a", "shop/web", 0)
			},
			want: []shownEndpoints{{Labels: map[string]string{"app": "web", wellknown.LabelCluster: "b"}, Ready: []string{"10.0.0.2 n1.b"}, Subsets: 1}},
		},
		"Gone": {
			reason: "With the last one it goes.",
			do: func(u *union) {
				u.put("a", endpointsOf(t, "a", 1, []string{"10.0.0.1"}, nil), false)
				u.remove("a", "shop/web", 0)
			},
		},
		"Stored": {
			reason: "What a user stored is not changed by members.",
			do: func(u *union) {
				u.put("a", endpointsOf(t, "a", 1, []string{"10.0.0.1"}, nil), false)
				if err := u.putStored(&core.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", ResourceVersion: "11"}}); err != nil {
					t.Error(err)
				}
				u.put("b", endpointsOf(t, "b", 1, []string{"10.0.0.2"}, nil), false)
			},
			want: []shownEndpoints{{}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			kind := Endpoints(everyService{})
			u := newUnion(&kind, NoOwners{})
			if err := u.load(10, 1, nil); err != nil {
				t.Fatal(err)
			}
			tc.do(u)
			u.mergeSome()
			var got []shownEndpoints
			objects, _ := u.ledger.Snapshot()
			objects.Ascend(func(e *entry) bool {
				made := e.Object.(*core.Endpoints)
				shown := shownEndpoints{Labels: made.Labels, Subsets: len(made.Subsets)}
				for i := range made.Subsets {
					for _, address := range made.Subsets[i].Addresses {
						shown.Ready = append(shown.Ready, address.IP+" "+*address.NodeName)
					}
					for _, address := range made.Subsets[i].NotReadyAddresses {
						shown.NotReady = append(shown.NotReady, address.IP+" "+*address.NodeName)
					}
				}
				got = append(got, shown)
				return true
			})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nshown (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestMergedBecomesAnother has a watcher be told of one object that changes.
func TestMergedBecomesAnother(t *testing.T) {
	kind := Endpoints(everyService{})
	u := newUnion(&kind, NoOwners{})
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	_, _, reader := u.ledger.SnapshotAndFollow()
	defer reader.Close()
	u.put("b", endpointsOf(t, "b", 1, []string{"10.0.0.2"}, nil), false)
	u.mergeSome()
	u.put("a", endpointsOf(t, "a", 1, []string{"10.0.0.1"}, nil), false)
	u.mergeSome()
	u.put("b", endpointsOf(t, "b", 2, []string{"10.0.0.4"}, nil), false)
	u.put("a", endpointsOf(t, "a", 2, []string{"10.0.0.5"}, nil), false)
	u.mergeSome()
	u.remove("a", "shop/web", 0)
	u.mergeSome()
	u.remove("b", "shop/web", 0)
	var got []string
	for len(got) < 5 {
		batch, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch.Changes {
			got = append(got, fmt.Sprint(batch.Changes[i].Key(), " ", batch.Changes[i].EventType()))
		}
	}
	want := []string{"shop/web ADDED", "shop/web MODIFIED", "shop/web MODIFIED", "shop/web MODIFIED", "shop/web DELETED"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// TestManyAddresses merges more addresses than Endpoints have.
func TestManyAddresses(t *testing.T) {
	addresses := func(prefix string, count int) (ips []string) {
		for n := range count {
			ips = append(ips, fmt.Sprintf("%s.%d.%d", prefix, n/250, n%250))
		}
		return ips
	}
	cases := map[string]struct {
		reason          string
		members         []observation
		ready, notReady map[string]int // by member
		truncated       bool
	}{
		"Fitting": {
			reason:  "As many as there may be stay.",
			members: []observation{endpointsOf(t, "a", 1, addresses("10.1", 600), nil), endpointsOf(t, "b", 1, addresses("10.2", 300), addresses("10.3", 100))},
			ready:   map[string]int{"a": 600, "b": 300}, notReady: map[string]int{"b": 100},
		},
		"NotReady": {
			reason:  "Those that are not ready are left out first, of each member its share.",
			members: []observation{endpointsOf(t, "a", 1, addresses("10.1", 600), addresses("10.4", 300)), endpointsOf(t, "b", 1, addresses("10.2", 300), addresses("10.3", 100))},
			ready:   map[string]int{"a": 600, "b": 300}, notReady: map[string]int{"a": 75, "b": 25}, truncated: true,
		},
		"Ready": {
			reason:  "Of those that are ready each member has its share.",
			members: []observation{endpointsOf(t, "a", 1, addresses("10.1", 900), addresses("10.4", 300)), endpointsOf(t, "b", 1, addresses("10.2", 300), addresses("10.3", 100))},
			ready:   map[string]int{"a": 750, "b": 250}, truncated: true,
		},
		"One": {
			reason:  "A member that truncates nothing is truncated.",
			members: []observation{endpointsOf(t, "a", 1, addresses("10.1", 5000), nil)},
			ready:   map[string]int{"a": 1000}, truncated: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var objects []runtime.Object
			for _, seen := range tc.members {
				objects = append(objects, seen.object)
			}
			merged := mergeEndpoints(objects).(*core.Endpoints)
			ready, notReady := map[string]int{}, map[string]int{}
			for i := range merged.Subsets {
				for _, address := range merged.Subsets[i].Addresses {
					ready[strings.TrimPrefix(*address.NodeName, "n1.")]++
				}
				for _, address := range merged.Subsets[i].NotReadyAddresses {
					notReady[strings.TrimPrefix(*address.NodeName, "n1.")]++
				}
			}
			if diff := cmp.Diff([]map[string]int{tc.ready, tc.notReady}, []map[string]int{ready, notReady}, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s\naddresses of members, ready and not (-want +got):\n%s", tc.reason, diff)
			}
			if got := merged.Annotations[corev1.EndpointsOverCapacity] == "truncated"; got != tc.truncated {
				t.Errorf("%s\ntold that some are left out: %t", tc.reason, got)
			}
		})
	}
}

// TestOverCapacity keeps what a member says of its own.
func TestOverCapacity(t *testing.T) {
	a, b := endpointsOf(t, "a", 1, []string{"10.0.0.1"}, nil).object, endpointsOf(t, "b", 1, []string{"10.0.0.2"}, nil).object
	b.(*core.Endpoints).Annotations = map[string]string{corev1.EndpointsOverCapacity: "truncated"}
	if got := mergeEndpoints([]runtime.Object{a, b}).(*core.Endpoints).Annotations; got[corev1.EndpointsOverCapacity] != "truncated" {
		t.Errorf("the annotations are %v, want that a member left out addresses", got)
	}
}

// TestMergedOnce has many members come before somebody looks.
func TestMergedOnce(t *testing.T) {
	const members = 300
	kind := Endpoints(everyService{})
	merges := 0
	kind.Merge = func(objects []runtime.Object) runtime.Object {
		merges++
		return mergeEndpoints(objects)
	}
	u := newUnion(&kind, NoOwners{})
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	for n := range members {
		u.putAll(fmt.Sprintf("m%d", n), []observation{endpointsOf(t, "a", 1, []string{fmt.Sprintf("10.0.%d.1", n)}, nil)})
	}
	for u.unmergedCount() > 0 {
		u.mergeSome()
	}
	shown := u.shownAs("m0", "shop/web").Object.(*core.Endpoints)
	if merges != 1 || len(shown.Subsets[0].Addresses) != members {
		t.Errorf("merged %d times, to %d addresses, want once, to %d", merges, len(shown.Subsets[0].Addresses), members)
	}
}
