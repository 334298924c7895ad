// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install" // Jobs
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// everyService is in every member.
type everyService struct{}

// Template implements Templates.
func (everyService) Template(_ string, kind schema.GroupKind, _, name string) (types.UID, bool) {
	return types.UID(name), kind == serviceKind
}

func TestJobShown(t *testing.T) {
	kind := Jobs(testTemplates{"batch/CronJob/shop/nightly": true})
	cronJob := metav1.OwnerReference{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: "member's", Controller: new(true), BlockOwnerDeletion: new(true)}
	job := func(change func(*batchv1.Job)) *batchv1.Job {
		made := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "nightly-29031", UID: "j", ResourceVersion: "7", OwnerReferences: []metav1.OwnerReference{cronJob},
		}}
		if change != nil {
			change(made)
		}
		return made
	}
	cases := map[string]struct {
		reason string
		member string
		job    *batchv1.Job
		want   bool
	}{
		"OfCronJob":   {reason: "The fleet has the CronJob there.", member: "m", job: job(nil), want: true},
		"OtherMember": {reason: "It is another CronJob there.", member: "n", job: job(nil)},
		"Bare":        {reason: "Jobs that people made in the member are not the fleet's.", member: "m", job: job(func(j *batchv1.Job) { j.OwnerReferences = nil })},
		"OtherOwner":  {reason: "Nor are those of operators.", member: "m", job: job(func(j *batchv1.Job) { j.OwnerReferences[0].APIVersion = "example.com/v1" })},
		"Copy": {
			reason: "What was made by hand of the fleet's CronJob is stored.", member: "m",
			job: job(func(j *batchv1.Job) { j.Annotations = map[string]string{wellknown.AnnotationTemplateUID: "1"} }),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			seen, shown, err := kind.observe(tc.member, tc.job)
			if err != nil || shown != tc.want {
				t.Fatalf("%s\nobserve(...): want shown %t, got %t, %v", tc.reason, tc.want, shown, err)
			}
			if !shown {
				return
			}
			want := []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: "batch/CronJob/shop/nightly", Controller: new(true)}}
			got := seen.object.(*batch.Job)
			if diff := cmp.Diff(want, got.OwnerReferences); diff != "" || got.UID != "j" || got.Labels[wellknown.LabelCluster] != "m" {
				t.Errorf("%s\nwant uid j in member m, got %q in %q; owners (-want +got):\n%s", tc.reason, got.UID, got.Labels[wellknown.LabelCluster], diff)
			}
		})
	}
}

// TestPodOfJob has Pods belong to the Jobs that are shown.
func TestPodOfJob(t *testing.T) {
	kind := Pods(testTemplates{"batch/CronJob/shop/nightly": true, "batch/Job/shop/once-1": true, "batch/CronJob/shop/once": true})
	cases := map[string]struct {
		reason   string
		job      string
		want     []metav1.OwnerReference
		wantSeen string
	}{
		"Projected": {
			reason: "A CronJob's Job is shown with the uid it has in the member.", job: "nightly-29031", wantSeen: "Job/shop/nightly-29031",
			want: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "nightly-29031", UID: "j", Controller: new(true)}},
		},
		"Stored": {reason: "A stored one has another uid in the fleet.", job: "once-1", wantSeen: "Job/shop/once-1"},
		"Others": {reason: "Others are not shown.", job: "weekly-29031", wantSeen: "Job/shop/weekly-29031"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			seen, shown, err := kind.observe("m", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: tc.job + "-x7k2p", ResourceVersion: "7", Labels: map[string]string{wellknown.LabelTemplate: "s"},
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: tc.job, UID: "j", Controller: new(true), BlockOwnerDeletion: new(true)}},
			}})
			if err != nil || !shown {
				t.Fatalf("%s\nobserve(...): want it shown, got %t, %v", tc.reason, shown, err)
			}
			if diff := cmp.Diff(tc.want, seen.object.(*core.Pod).OwnerReferences); diff != "" || seen.owner != tc.wantSeen {
				t.Errorf("%s\nwant owner %q, got %q; owners (-want +got):\n%s", tc.reason, tc.wantSeen, seen.owner, diff)
			}
		})
	}
}

func TestVolumesShown(t *testing.T) {
	templates := testTemplates{"apps/StatefulSet/shop/db": true, "/PersistentVolumeClaim/shop/files": true}
	cases := map[string]struct {
		reason      string
		claim       string
		annotations map[string]string
		want        bool   // the claim is shown
		wantUID     string // of the claim that the volume shows, empty when it is not shown
	}{
		"OfSet":    {reason: "The set is the fleet's.", claim: "data-db-0", want: true, wantUID: "c"},
		"OtherSet": {reason: "Another set is not.", claim: "data-cache-0"},
		"Others":   {reason: "Claims of people are not.", claim: "data-db"},
		"Copy": {
			reason: "A claim that is a template is shown where it is stored, and has that uid.", claim: "files",
			annotations: map[string]string{wellknown.AnnotationTemplateUID: "1"}, wantUID: "/PersistentVolumeClaim/shop/files",
		},
	}
	claims, volumes := Claims(templates), Volumes(templates)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			seen, shown, err := claims.observe("m", &corev1.PersistentVolumeClaim{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: tc.claim, UID: "c", ResourceVersion: "7", Annotations: tc.annotations},
				Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pvc-1"},
			})
			if err != nil || shown != tc.want {
				t.Fatalf("%s\nobserve the claim: want shown %t, got %t, %v", tc.reason, tc.want, shown, err)
			}
			if shown {
				if got := seen.object.(*core.PersistentVolumeClaim).Spec.VolumeName; got != "pvc-1.m" {
					t.Errorf("%s\nvolume of the claim: want pvc-1.m, got %q", tc.reason, got)
				}
			}
			seen, shown, err = volumes.observe("m", &corev1.PersistentVolume{
				ObjectMeta: metav1.ObjectMeta{Name: "pvc-1", ResourceVersion: "7"},
				Spec: corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{
					APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: tc.claim, UID: "c", ResourceVersion: "6",
				}},
			})
			if err != nil || shown != (tc.wantUID != "") {
				t.Fatalf("%s\nobserve the volume: want shown %t, got %t, %v", tc.reason, tc.wantUID != "", shown, err)
			}
			if !shown {
				return
			}
			want := &core.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: tc.claim, UID: types.UID(tc.wantUID)}
			if diff := cmp.Diff(want, seen.object.(*core.PersistentVolume).Spec.ClaimRef); diff != "" || seen.key != "pvc-1.m" {
				t.Errorf("%s\nvolume %q, want pvc-1.m; its claim (-want +got):\n%s", tc.reason, seen.key, diff)
			}
		})
	}
	if _, shown, err := volumes.observe("m", &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "free", ResourceVersion: "7"}}); shown || err != nil {
		t.Errorf("a volume that nobody claimed: want it not shown, got %t, %v", shown, err)
	}
}

func TestClaimOwn(t *testing.T) {
	claim := func(change func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
		made := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "data-db-0", Labels: map[string]string{wellknown.LabelCluster: "m"}},
			Spec:       corev1.PersistentVolumeClaimSpec{VolumeName: "pvc-1.m"},
		}
		if change != nil {
			change(made)
		}
		return made
	}
	cases := map[string]struct {
		reason string
		change func(*corev1.PersistentVolumeClaim)
		want   bool
	}{
		"Label":  {reason: "Its labels are the user's.", change: func(c *corev1.PersistentVolumeClaim) { c.Labels["by"] = "anna" }},
		"Volume": {reason: "Its volume is the member's decision.", change: func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pvc-2.m" }, want: true},
		"Member": {reason: "It cannot move.", change: func(c *corev1.PersistentVolumeClaim) { c.Labels[wellknown.LabelCluster] = "n" }, want: true},
	}
	kind := Claims(testTemplates{})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := kind.Own(claim(nil), claim(tc.change)); (err != nil) != tc.want {
				t.Errorf("%s\nwant an error: %t, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestPropagation(t *testing.T) {
	cases := map[string]struct {
		reason     string
		finalizers []string
		want       metav1.DeletionPropagation
	}{
		"Orphan":     {reason: "What it owns stays.", finalizers: []string{"example.com/x", metav1.FinalizerOrphanDependents}, want: metav1.DeletePropagationOrphan},
		"Foreground": {reason: "What it owns goes first.", finalizers: []string{metav1.FinalizerDeleteDependents}, want: metav1.DeletePropagationForeground},
		"Background": {reason: "What it owns goes after it, whatever members do by default.", want: metav1.DeletePropagationBackground},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := propagationOf(&metav1.ObjectMeta{Finalizers: tc.finalizers}); got != tc.want {
				t.Errorf("%s\nwant %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}
