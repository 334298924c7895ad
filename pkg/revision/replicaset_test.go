// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/controller"
	deploymentutil "k8s.io/kubernetes/pkg/controller/deployment/util"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// deployment runs nginx in some version; its status is complete.
func deployment(image string, change ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "d", Generation: 2},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(3)), RevisionHistoryLimit: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: podTemplate(image),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{}},
		},
		Status: counted(2, 3, 3, 3, 3),
	}
	for _, f := range change {
		f(d)
	}
	return d
}

func podTemplate(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "nginx", Image: image}}},
	}
}

func counted(generation int64, replicas, updated, ready, available int32) appsv1.DeploymentStatus {
	return appsv1.DeploymentStatus{
		ObservedGeneration: generation, Replicas: replicas, UpdatedReplicas: updated, ReadyReplicas: ready, AvailableReplicas: available,
	}
}

// reports changes the status to one.
func reports(status appsv1.DeploymentStatus) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Status = status }
}

func paused(d *appsv1.Deployment) { d.Spec.Paused = true }

// recorded is a record of the Deployment that is as it should be, but for its replicas
// and counters.
func recorded(image, number string, replicas int32, status appsv1.ReplicaSetStatus) *appsv1.ReplicaSet {
	rs := NewReplicaSet(context.Background(), deployment(image), nil, "stamp", nil)
	rs.UID, rs.Generation = types.UID(image), 1
	rs.Annotations[deploymentutil.RevisionAnnotation] = number
	rs.Spec.Replicas, rs.Status = &replicas, status
	if status.ObservedGeneration == 0 {
		rs.Status.ObservedGeneration = 1
	}
	return rs
}

func pods(replicas, ready, available int32) appsv1.ReplicaSetStatus {
	return appsv1.ReplicaSetStatus{ObservedGeneration: 1, Replicas: replicas, FullyLabeledReplicas: replicas, ReadyReplicas: ready, AvailableReplicas: available}
}

// written is what a plan writes, in short.
type written struct {
	Record   bool
	Replicas map[string]int32    // of those with another spec, by image
	Numbers  map[string]string   // of those with other metadata, by image
	Status   map[string][3]int32 // replicas, ready, available
	Delete   []string
	Settled  bool
}

func shorten(plan ReplicaSets) written {
	w := written{Record: plan.Record, Settled: plan.Settled}
	image := func(rs *appsv1.ReplicaSet) string { return rs.Spec.Template.Spec.Containers[0].Image }
	for _, rs := range plan.Update {
		if w.Replicas == nil {
			w.Replicas, w.Numbers = map[string]int32{}, map[string]string{}
		}
		w.Replicas[image(rs)] = *rs.Spec.Replicas
		w.Numbers[image(rs)] = rs.Annotations[deploymentutil.RevisionAnnotation]
	}
	for _, rs := range plan.Status {
		if w.Status == nil {
			w.Status = map[string][3]int32{}
		}
		w.Status[image(rs)] = [3]int32{rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas}
	}
	for _, rs := range plan.Delete {
		w.Delete = append(w.Delete, image(rs))
	}
	return w
}

func TestPlanReplicaSets(t *testing.T) {
	cases := map[string]struct {
		reason     string
		deployment *appsv1.Deployment
		existing   []*appsv1.ReplicaSet
		want       written
	}{
		"First": {
			reason:     "A Pod template without a record gets one.",
			deployment: deployment("a", reports(appsv1.DeploymentStatus{})),
			want:       written{Record: true},
		},
		"Paused": {
			reason:     "A Deployment that never ran has no revision.",
			deployment: deployment("a", paused, reports(appsv1.DeploymentStatus{})),
		},
		"Steady": {
			reason:     "Nothing is written when nothing changed.",
			deployment: deployment("b"),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 0, pods(0, 0, 0)), recorded("b", "2", 3, pods(3, 3, 3))},
			want:       written{Settled: true},
		},
		"NotObserved": {
			reason:     "Numbers about an earlier spec are of no revision in particular.",
			deployment: deployment("b", reports(counted(1, 3, 3, 3, 3))),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 3, pods(3, 3, 3)), recorded("b", "2", 3, pods(0, 0, 0))},
		},
		"Going": {
			reason:     "What is ready is of the old revision as far as it can be.",
			deployment: deployment("b", reports(counted(2, 4, 2, 3, 3))),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 3, pods(3, 3, 3)), recorded("b", "2", 3, pods(0, 0, 0))},
			want:       written{Status: map[string][3]int32{"a": {2, 2, 2}, "b": {2, 1, 1}}},
		},
		"Over": {
			reason:     "The old revision asks for none when none of it is left, and its numbers come after.",
			deployment: deployment("b"),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 3, pods(2, 2, 2)), recorded("b", "2", 3, pods(2, 1, 1))},
			want: written{
				Settled: true, Replicas: map[string]int32{"a": 0}, Numbers: map[string]string{"a": "1"}, Status: map[string][3]int32{"b": {3, 3, 3}},
			},
		},
		"Failed": {
			reason:     "A rollout that timed out is over: its numbers stay as they are.",
			deployment: deployment("b", reports(counted(2, 4, 1, 3, 3)), timedOut),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 3, pods(3, 3, 3)), recorded("b", "2", 3, pods(1, 0, 0))},
			want:       written{Settled: true},
		},
		"Undone": {
			reason:     "The revision that is current again gets the highest number; the one in between keeps what runs of it.",
			deployment: deployment("a", reports(counted(1, 4, 1, 3, 3))),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 3, pods(3, 3, 3)), recorded("b", "2", 3, pods(1, 0, 0))},
			want:       written{Replicas: map[string]int32{"a": 3}, Numbers: map[string]string{"a": "3"}},
		},
		"Scaled": {
			reason:     "A change of scale is the current revision's.",
			deployment: deployment("b", func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(5)) }, reports(counted(1, 3, 3, 3, 3))),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 0, pods(0, 0, 0)), recorded("b", "2", 3, pods(3, 3, 3))},
			want:       written{Replicas: map[string]int32{"b": 5}, Numbers: map[string]string{"b": "2"}},
		},
		"ScaledWhilePaused": {
			reason:     "With a template that has no revision yet, it is that of the revision that runs, which is one of the old ones, also in their limit.",
			deployment: deployment("c", paused, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(5)) }, reports(counted(2, 5, 0, 5, 4))),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 0, pods(0, 0, 0)), recorded("b", "2", 3, pods(3, 3, 3))},
			want:       written{Replicas: map[string]int32{"b": 5}, Numbers: map[string]string{"b": "2"}, Delete: []string{"a"}},
		},
		"BeyondLimit": {
			reason:     "The oldest revisions go when the rollout is over.",
			deployment: deployment("d"),
			existing: []*appsv1.ReplicaSet{
				recorded("c", "3", 0, pods(0, 0, 0)), recorded("a", "1", 0, pods(0, 0, 0)), recorded("b", "2", 0, pods(0, 0, 0)), recorded("d", "4", 3, pods(3, 3, 3)),
			},
			want: written{Settled: true, Delete: []string{"b", "a"}},
		},
		"BeyondLimitStillRunning": {
			reason:     "What runs is kept, and so is everything while the rollout goes on.",
			deployment: deployment("c", reports(counted(2, 4, 2, 3, 3))),
			existing: []*appsv1.ReplicaSet{
				recorded("a", "1", 0, pods(0, 0, 0)), recorded("b", "2", 3, pods(2, 2, 2)), recorded("c", "3", 3, pods(2, 1, 1)),
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := shorten(PlanReplicaSets(t.Context(), tc.deployment, tc.existing))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nPlanReplicaSets(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestTerminating has revisions tell how many of their Pods are terminating.
func TestTerminating(t *testing.T) {
	shrinking := func(replicas, updated, terminating int32) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) {
			d.Status = counted(2, replicas, updated, replicas, replicas)
			d.Status.TerminatingReplicas = &terminating
		}
	}
	cases := map[string]struct {
		reason     string
		deployment *appsv1.Deployment
		existing   []*appsv1.ReplicaSet
		want       map[string]int32
	}{
		"Unknown": {
			reason:     "Where members do not count them, nothing is said.",
			deployment: deployment("b", reports(counted(2, 2, 2, 2, 2))),
			existing:   []*appsv1.ReplicaSet{recorded("b", "1", 3, pods(3, 3, 3))},
			want:       map[string]int32{"b": -1},
		},
		"Rollout": {
			reason:     "In a rollout the old revision loses Pods.",
			deployment: deployment("b", shrinking(4, 2, 1)),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 3, pods(3, 3, 3)), recorded("b", "2", 3, pods(0, 0, 0))},
			want:       map[string]int32{"a": 1, "b": 0},
		},
		"Scale": {
			reason:     "When nothing runs of the old one, the current one loses them.",
			deployment: deployment("b", shrinking(2, 2, 1)),
			existing:   []*appsv1.ReplicaSet{recorded("a", "1", 0, pods(0, 0, 0)), recorded("b", "2", 3, pods(3, 3, 3))},
			want:       map[string]int32{"a": 0, "b": 1},
		},
		"Paused": {
			reason:     "While paused with a template that has no revision, the one that runs loses them.",
			deployment: deployment("c", paused, shrinking(2, 0, 1)),
			existing:   []*appsv1.ReplicaSet{recorded("b", "2", 3, pods(3, 3, 3))},
			want:       map[string]int32{"b": 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := map[string]int32{}
			for _, rs := range PlanReplicaSets(t.Context(), tc.deployment, tc.existing).Status {
				got[rs.Spec.Template.Spec.Containers[0].Image] = ptr.Deref(rs.Status.TerminatingReplicas, -1)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nterminating by revision, -1 for unknown: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func timedOut(d *appsv1.Deployment) {
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: deploymentutil.TimedOutReason}}
}

func TestNewReplicaSet(t *testing.T) {
	d := deployment("b", func(d *appsv1.Deployment) {
		d.Annotations = map[string]string{"kubernetes.io/change-cause": "b is better", corev1.LastAppliedConfigAnnotation: "{}"}
	})
	got := NewReplicaSet(t.Context(), d, []*appsv1.ReplicaSet{recorded("a", "7", 3, pods(3, 3, 3))}, "stamp", nil)

	inMember := podTemplate("b")
	inMember.Labels[wellknown.LabelTemplate] = "stamp"
	hash := controller.ComputeHash(&inMember, nil)
	template := podTemplate("b")
	template.Labels["pod-template-hash"] = hash
	want := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-" + hash,
			Labels: map[string]string{"app": "web", "pod-template-hash": hash, wellknown.LabelRevision: "stamp"},
			Annotations: map[string]string{
				"kubernetes.io/change-cause": "b is better", "deployment.kubernetes.io/revision": "8",
				"deployment.kubernetes.io/desired-replicas": "3", "deployment.kubernetes.io/max-replicas": "3",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "d", Controller: new(true), BlockOwnerDeletion: new(true),
			}},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(int32(3)), Template: template,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web", "pod-template-hash": hash}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("\nThe record is named as a member names its ReplicaSet, and has no stamp in its Pod template.\nNewReplicaSet(...): -want, +got:\n%s", diff)
	}
	if name := DeploymentOf(got); name != "web" {
		t.Errorf("\nA record tells whose it is.\nDeploymentOf(...): want web, got %q", name)
	}
	orphan := got.DeepCopy()
	orphan.OwnerReferences = nil
	if name := DeploymentOf(orphan); name != "web" {
		t.Errorf("\nAlso when it lost its owner.\nDeploymentOf(...): want web, got %q", name)
	}
	delete(orphan.Labels, wellknown.LabelRevision)
	if name := DeploymentOf(orphan); name != "" {
		t.Errorf("\nA ReplicaSet of its own is no record.\nDeploymentOf(...): want none, got %q", name)
	}
	for key := range got.Annotations {
		if strings.Contains(key, wellknown.Domain) {
			t.Errorf("\nkubectl rollout undo copies annotations to the Deployment, which are not to be the fleet's.\nNewReplicaSet(...): got %q", key)
		}
	}
	if !Records(got, d) {
		t.Error("\nA record is one of the Deployment it was made for.\nRecords(...): want true")
	}
	marked := d.DeepCopy()
	marked.Spec.Template.Labels[wellknown.LabelManagedBy] = "x"
	marked.Spec.Template.Annotations = map[string]string{wellknown.AnnotationTemplateUID: "y"}
	if same := NewReplicaSet(t.Context(), marked, nil, "stamp", nil); same.Name != got.Name {
		t.Errorf("\nMembers do not get marks of a fleet in the Pod template.\nNewReplicaSet(...): want %q, got %q", got.Name, same.Name)
	}
	if other := NewReplicaSet(t.Context(), d, nil, "stamp", ptr.To[int32](1)); other.Name == got.Name {
		t.Errorf("\nAnother probe gives another name.\nNewReplicaSet(...): got %q twice", got.Name)
	}
}
