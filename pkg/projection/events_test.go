// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// testTemplates are what member m has, group/kind/namespace/name, with the uid of that
// same name.
type testTemplates map[string]bool

// Template implements Templates.
func (t testTemplates) Template(member string, kind schema.GroupKind, namespace, name string) (types.UID, bool) {
	key := fmt.Sprintf("%s/%s/%s/%s", kind.Group, kind.Kind, namespace, name)
	return types.UID(key), member == "m" && t[key]
}

func TestInvolved(t *testing.T) {
	templates := testTemplates{
		"apps/Deployment/shop/web": true, "apps/StatefulSet/shop/big-db": true, "apps/DaemonSet/shop/agent": true, "batch/Job/shop/once": true,
		"batch/CronJob/shop/nightly": true, "/Pod/shop/bare": true, "apps/ReplicaSet/shop/own": true, "/Service/shop/web": true,
		"example.com/Widget/shop/w": true, "rbac.authorization.k8s.io/ClusterRole//reader": true,
	}
	cases := map[string]struct {
		reason                   string
		member, apiVersion, kind string
		namespace, name          string
		wantUID                  string // "member's" where it stays
	}{
		"Template":        {reason: "A copy of a template stands for it.", apiVersion: "apps/v1", kind: "Deployment", name: "web", wantUID: "apps/Deployment/shop/web"},
		"CustomResource":  {reason: "Of whatever kind.", apiVersion: "example.com/v1beta1", kind: "Widget", name: "w", wantUID: "example.com/Widget/shop/w"},
		"OtherGroup":      {reason: "But of no other group.", apiVersion: "example.org/v1", kind: "Widget", name: "w"},
		"OtherNamespace":  {reason: "In no other namespace.", apiVersion: "apps/v1", kind: "Deployment", namespace: "kube-system", name: "web"},
		"OtherMember":     {reason: "In no other member.", member: "n", apiVersion: "apps/v1", kind: "Deployment", name: "web"},
		"ClusterScoped":   {reason: "Also without a namespace.", apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", namespace: "-", name: "reader", wantUID: "rbac.authorization.k8s.io/ClusterRole//reader"},
		"Pod":             {reason: "A Pod of a Deployment is shown as it is in the member.", apiVersion: "v1", kind: "Pod", name: "web-5d8-x7k2p", wantUID: "member's"},
		"PodOfSet":        {reason: "So is one of a StatefulSet.", apiVersion: "v1", kind: "Pod", name: "big-db-0", wantUID: "member's"},
		"PodOfDaemonSet":  {reason: "So is one of a DaemonSet.", apiVersion: "v1", kind: "Pod", name: "agent-x7k2p", wantUID: "member's"},
		"PodOfJob":        {reason: "So is one of a Job.", apiVersion: "v1", kind: "Pod", name: "once-x7k2p", wantUID: "member's"},
		"PodOfCronJob":    {reason: "So is one of a CronJob.", apiVersion: "v1", kind: "Pod", name: "nightly-2903-x7k2p", wantUID: "member's"},
		"PodOfReplicaSet": {reason: "So is one of a ReplicaSet.", apiVersion: "v1", kind: "Pod", name: "own-x7k2p", wantUID: "member's"},
		"PodOfIndex":      {reason: "So is one of an indexed Job.", apiVersion: "v1", kind: "Pod", name: "once-3-x7k2p", wantUID: "member's"},
		"LikeNamed":       {reason: "Whose name begins alike is not the fleet's.", apiVersion: "v1", kind: "Pod", name: "web-frontend-0"},
		"LikeNamedSet":    {reason: "Nor is a set of another workload.", apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-frontend"},
		"BarePod":         {reason: "A Pod may be a template.", apiVersion: "v1", kind: "Pod", name: "bare", wantUID: "/Pod/shop/bare"},
		"OthersPod":       {reason: "Pods of others are not the fleet's.", apiVersion: "v1", kind: "Pod", name: "other-5d8-x7k2p"},
		"PodOfNobody":     {reason: "Neither is one whose name says nothing.", apiVersion: "v1", kind: "Pod", name: "other"},
		"PodOfService":    {reason: "A Service makes no Pods.", apiVersion: "v1", kind: "Pod", name: "web-x7k2p"},
		"ReplicaSet":      {reason: "A ReplicaSet of a Deployment.", apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5d8", wantUID: "member's"},
		"OwnReplicaSet":   {reason: "A ReplicaSet that is a template.", apiVersion: "apps/v1", kind: "ReplicaSet", name: "own", wantUID: "apps/ReplicaSet/shop/own"},
		"JobOfCronJob":    {reason: "A Job of a CronJob.", apiVersion: "batch/v1", kind: "Job", name: "nightly-2903", wantUID: "member's"},
		"Claim":           {reason: "A claim of a StatefulSet.", apiVersion: "v1", kind: "PersistentVolumeClaim", name: "my-data-big-db-12", wantUID: "member's"},
		"OthersClaim":     {reason: "A claim of others.", apiVersion: "v1", kind: "PersistentVolumeClaim", name: "data-db-0"},
		"NoClaim":         {reason: "A claim that is no StatefulSet's.", apiVersion: "v1", kind: "PersistentVolumeClaim", name: "data-big-db-x"},
		"Node":            {reason: "Nodes have the fleet's names; kubelets say their name for their uid.", apiVersion: "v1", kind: "Node", namespace: "-", name: "n1", wantUID: "n1.m"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			reference := corev1.ObjectReference{APIVersion: tc.apiVersion, Kind: tc.kind, Namespace: "shop", Name: tc.name, UID: "member's"}
			if tc.namespace != "" {
				reference.Namespace = tc.namespace
			}
			if tc.namespace == "-" {
				reference.Namespace = ""
			}
			if tc.kind == "Node" {
				reference.UID = types.UID(tc.name)
			}
			member := "m"
			if tc.member != "" {
				member = tc.member
			}
			var got string
			if involve(member, &reference, templates) {
				got = string(reference.UID)
			}
			if got != tc.wantUID {
				t.Errorf("%s\ninvolve(%s %s): want uid %q, got %q", tc.reason, tc.kind, tc.name, tc.wantUID, got)
			}
		})
	}
}

func TestEventShown(t *testing.T) {
	templates := testTemplates{"apps/Deployment/shop/web": true}
	event := func(change func(*corev1.Event)) *corev1.Event {
		e := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: "web.17a", UID: "e", ResourceVersion: "7"},
			InvolvedObject: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "member's", ResourceVersion: "5"},
			Source:         corev1.EventSource{Component: "deployment-controller"},
			Message:        "Scaled up",
		}
		if change != nil {
			change(e)
		}
		return e
	}
	cases := map[string]struct {
		reason string
		event  *corev1.Event
		want   core.EventSource
	}{
		"Controller": {reason: "The member is where it comes from.", event: event(nil), want: core.EventSource{Component: "deployment-controller", Host: "m"}},
		"Kubelet": {
			reason: "A node has the fleet's name.",
			event:  event(func(e *corev1.Event) { e.Source = corev1.EventSource{Component: "kubelet", Host: "n1"} }),
			want:   core.EventSource{Component: "kubelet", Host: "n1.m"},
		},
		"NewEvent": {
			reason: "Events of the newer API name who reports.",
			event: event(func(e *corev1.Event) {
				e.Source, e.ReportingController, e.ReportingInstance = corev1.EventSource{}, "default-scheduler", "s-1"
			}),
			want: core.EventSource{Host: "m"},
		},
	}
	kind := Events(templates)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			seen, shown, err := kind.observe("m", tc.event)
			if err != nil || !shown {
				t.Fatalf("%s\nobserve(...): want it shown, got %t, %v", tc.reason, shown, err)
			}
			got := seen.object.(*core.Event)
			if diff := cmp.Diff(tc.want, got.Source); diff != "" {
				t.Errorf("%s\nsource (-want +got):\n%s", tc.reason, diff)
			}
			if seen.key != "shop/web.17a.m" || got.Labels[wellknown.LabelCluster] != "m" || got.InvolvedObject.ResourceVersion != "" || got.Message != "m: Scaled up" {
				t.Errorf("%s\nkey, object and message: got %q %v %v %q", tc.reason, seen.key, got.Labels, got.InvolvedObject, got.Message)
			}
		})
	}
}

// TestEventOfRecord has an Event about a member's ReplicaSet be about the fleet's record
// of that name, when there is one.
func TestEventOfRecord(t *testing.T) {
	kind := Events(testTemplates{"apps/Deployment/shop/web": true})
	owners := &testOwners{known: map[string]Owner{}}
	u := newUnion(&kind, owners)
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	seen, _, err := kind.observe("m", &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: "web-5d8.17a", ResourceVersion: "7"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "web-5d8", UID: "member's"},
	})
	if err != nil {
		t.Fatal(err)
	}
	u.put("m", seen, false)
	about := func() types.UID {
		return u.shownAs("m", "shop/web-5d8.17a.m").Object.(*core.Event).InvolvedObject.UID
	}
	if got := about(); got != "member's" {
		t.Errorf("without a record it is about what the member has, got %q", got)
	}
	before := u.position()
	owners.become(recordKey("shop", "web-5d8"), "record")
	u.reown(recordKey("shop", "web-5d8"))
	if got := about(); got != "record" || u.position() == before {
		t.Errorf("with one it is about that, in a later version: got %q at %d after %d", got, u.position(), before)
	}
	u.reown(recordKey("shop", "web-5d8"))
	if got := u.position() - before; got != 1<<serverBits {
		t.Errorf("want one change, got %d", got>>serverBits)
	}
}
