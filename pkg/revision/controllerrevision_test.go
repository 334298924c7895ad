// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/daemon"
	"k8s.io/kubernetes/pkg/controller/history"
	"k8s.io/kubernetes/pkg/controller/statefulset"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

func statefulSet(image string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "s", Annotations: map[string]string{"why": "b", corev1.LastAppliedConfigAnnotation: "{}"}},
		Spec: appsv1.StatefulSetSpec{
			RevisionHistoryLimit: new(int32(1)), Template: podTemplate(image),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
		Status: appsv1.StatefulSetStatus{CurrentRevision: "running"},
	}
}

func daemonSet(image string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "s"},
		Spec: appsv1.DaemonSetSpec{
			Template: podTemplate(image),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	}
}

// numbered is the record of an image.
func numbered(t *testing.T, image, name string, number int64) *appsv1.ControllerRevision {
	t.Helper()
	recorded, err := NewControllerRevision(OfStatefulSet(statefulSet(image)), number, "stamp", nil)
	if err != nil {
		t.Fatal(err)
	}
	recorded.Name = name
	return recorded
}

func TestPlanControllerRevisions(t *testing.T) {
	type plan struct {
		Record   bool
		Number   int64
		Renumber string
		Delete   []string
	}
	cases := map[string]struct {
		reason   string
		image    string
		existing []*appsv1.ControllerRevision
		want     plan
	}{
		"First":  {reason: "A Pod template without a record gets one.", image: "a", want: plan{Record: true, Number: 1}},
		"Second": {reason: "So does the next.", image: "b", existing: []*appsv1.ControllerRevision{numbered(t, "a", "1", 1)}, want: plan{Record: true, Number: 2}},
		"Steady": {
			reason: "Nothing is written when nothing changed.", image: "b",
			existing: []*appsv1.ControllerRevision{numbered(t, "b", "2", 2), numbered(t, "a", "1", 1)}, want: plan{Number: 3},
		},
		"Undone": {
			reason: "What is current again has the highest number.", image: "a",
			existing: []*appsv1.ControllerRevision{numbered(t, "b", "2", 2), numbered(t, "a", "1", 1)}, want: plan{Number: 3, Renumber: "1"},
		},
		"BeyondLimit": {
			reason: "The oldest go, but not what runs.", image: "e",
			existing: []*appsv1.ControllerRevision{
				numbered(t, "e", "5", 5), numbered(t, "a", "running", 1), numbered(t, "b", "2", 2), numbered(t, "c", "3", 3), numbered(t, "d", "4", 4),
			},
			want: plan{Number: 6, Delete: []string{"2", "3"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			made, err := PlanControllerRevisions(OfStatefulSet(statefulSet(tc.image)), tc.existing)
			if err != nil {
				t.Fatal(err)
			}
			got := plan{Record: made.Record, Number: made.Number}
			if made.Renumber != nil {
				got.Renumber = made.Renumber.Name
			}
			for _, past := range made.Delete {
				got.Delete = append(got.Delete, past.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nPlanControllerRevisions(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNewControllerRevision(t *testing.T) {
	inMember := podTemplate("b")
	inMember.Labels[wellknown.LabelTemplate] = "stamp"
	data, err := patch(&inMember)
	if err != nil {
		t.Fatal(err)
	}
	raw := &appsv1.ControllerRevision{}
	raw.Data.Raw = data
	cases := map[string]struct {
		reason   string
		workload Workload
		label    string
		hash     string
	}{
		"StatefulSet": {
			reason:   "The StatefulSet controller hashes the patch, with its collision count.",
			workload: OfStatefulSet(statefulSet("b")), label: "controller.kubernetes.io/hash", hash: history.HashControllerRevision(raw, new(int32(0))),
		},
		"DaemonSet": {
			reason:   "The DaemonSet controller hashes the Pod template.",
			workload: OfDaemonSet(daemonSet("b")), label: "controller-revision-hash", hash: controller.ComputeHash(&inMember, nil),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := NewControllerRevision(tc.workload, 4, "stamp", nil)
			if err != nil {
				t.Fatal(err)
			}
			want := metav1.ObjectMeta{
				Namespace: "shop", Name: "web-" + tc.hash,
				Labels:      map[string]string{"app": "web", tc.label: tc.hash, wellknown.LabelRevision: "stamp"},
				Annotations: map[string]string{},
				OwnerReferences: []metav1.OwnerReference{{
					APIVersion: "apps/v1", Kind: name, Name: "web", UID: "s", Controller: new(true), BlockOwnerDeletion: new(true),
				}},
			}
			if why := tc.workload.GetAnnotations()["why"]; why != "" {
				want.Annotations["why"] = why
			}
			if diff := cmp.Diff(want, got.ObjectMeta); diff != "" || got.Revision != 4 {
				t.Errorf("\n%s\nNewControllerRevision(...): want number 4, got %d; -want, +got:\n%s", tc.reason, got.Revision, diff)
			}
		})
	}
}

// TestPatchIsUpstreams applies records with the functions of upstream's controllers, and
// of kubectl.
func TestPatchIsUpstreams(t *testing.T) {
	old, err := NewControllerRevision(OfStatefulSet(statefulSet("a")), 1, "stamp", nil)
	if err != nil {
		t.Fatal(err)
	}
	set, err := statefulset.ApplyRevision(statefulSet("b"), old)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(podTemplate("a"), set.Spec.Template); diff != "" {
		t.Errorf("\nA record brings the Pod template back.\nApplyRevision(...): -want, +got:\n%s", diff)
	}
	recorded, err := NewControllerRevision(OfDaemonSet(daemonSet("a")), 1, "stamp", nil)
	if err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]bool{"a": true, "b": false} {
		if got, err := daemon.Match(daemonSet(image), recorded); err != nil || got != want {
			t.Errorf("\nA record matches its own Pod template only, byte for byte.\nMatch(%s): want %t, got %t, %v", image, want, got, err)
		}
	}
}

func TestStamp(t *testing.T) {
	stamps := map[string]string{}
	for name, d := range map[string]*appsv1.Deployment{
		"a": deployment("a"), "b": deployment("b"),
		"a paused": deployment("a", paused), "a changed": deployment("a", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(9)) }),
	} {
		stamp, err := Stamp(d, DeploymentKind)
		if err != nil {
			t.Fatal(err)
		}
		stamps[name] = stamp
	}
	if stamps["a"] == "" || stamps["a"] != stamps["a paused"] || stamps["a"] != stamps["a changed"] || stamps["a"] == stamps["b"] {
		t.Errorf("\nThe stamp is that of the Pod template alone.\nStamp(...): got %v", stamps)
	}
}
