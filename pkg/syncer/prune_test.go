// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

func TestPruneDeletes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("shop", shop)
	r.await("shop", "applied", applied)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.countAnew()
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	if r.member.Get("ConfigMap", "shop", "settings") != nil {
		t.Error("the object is there though its deletion was confirmed")
	}
	if diff := cmp.Diff(map[string]int{"delete configmaps": 1}, r.member.Requests()); diff != "" {
		t.Errorf("requests to delete one object: -want +got:\n%s", diff)
	}
	if r.member.Get("Namespace", "", "shop") == nil {
		t.Error("the namespace went with the object")
	}
}

func TestPruneSpares(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		change func(*unstructured.Unstructured)
	}{
		"Unmarked": {
			reason: "somebody else made it",
			change: func(o *unstructured.Unstructured) { o.SetLabels(nil) },
		},
		"OfAnotherFleet": {
			reason: "it is another fleet's",
			change: func(o *unstructured.Unstructured) {
				o.SetLabels(map[string]string{wellknown.LabelManagedBy: "fleet-2"})
			},
		},
		"OfANewerTemplate": {
			reason: "the template was created anew; the tombstone is for the old one",
			change: func(o *unstructured.Unstructured) {
				o.SetAnnotations(map[string]string{wellknown.AnnotationTemplateUID: "uid-2"})
			},
		},
		"OfNoTemplate": {
			reason: "nothing says that the tombstone is for it",
			change: func(o *unstructured.Unstructured) { o.SetAnnotations(nil) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			object := fake.Manifest(t, settings)
			mark(object)
			tc.change(object)
			before := r.member.Put(t, object)
			r.want("settings", settings, tombstone)
			item := r.await("settings", "confirmed", deleted)
			after := r.member.Get("ConfigMap", "shop", "settings")
			if after == nil || after.GetResourceVersion() != before.GetResourceVersion() {
				t.Errorf("%s: it was touched: %v", tc.reason, after)
			}
			if !strings.Contains(item.AppliedMessage, "stays") {
				t.Errorf("%s: report: %q, want it to say that the object stays", tc.reason, item.AppliedMessage)
			}
		})
	}
}

func TestPruneConfirmsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ reason, manifest string }{
		"Object": {"it never came to be", settings},
		"Kind":   {"objects of a kind that is not served do not exist", `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: shop}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.want("gone", tc.manifest, tombstone)
			r.await("gone", "confirmed", deleted)
			if got := r.member.Writes(); got != 0 {
				t.Errorf("%s: %d writes: %v", tc.reason, got, r.member.Requests())
			}
		})
	}
}

// Between what the mirror shows and the deletion the object may change. What is
// deleted is what the member has then.
func TestPruneLooksAgainAfterAConflict(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		change func(*unstructured.Unstructured)
		stays  bool
	}{
		"Content":  {reason: "what it holds says nothing about whose it is", change: func(o *unstructured.Unstructured) { put(t, o, "mine", "data", "extra") }},
		"Unmarked": {reason: "somebody took it from the fleet", change: func(o *unstructured.Unstructured) { o.SetLabels(nil) }, stays: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.want("settings", settings)
			r.await("settings", "applied", applied)
			changed := false
			r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
				if request.Verb != "delete" || changed {
					return nil
				}
				changed = true
				go r.member.Edit(t, "ConfigMap", "shop", "settings", tc.change)
				return apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "settings", errors.New("the ResourceVersion in the precondition does not match"))
			})
			r.want("settings", settings, tombstone)
			r.await("settings", "deleted or released", deleted)
			if got := r.member.Get("ConfigMap", "shop", "settings") != nil; got != tc.stays {
				t.Errorf("%s: it stays: %t, want %t", tc.reason, got, tc.stays)
			}
		})
	}
}

func TestPruneAwaitsFinalizers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { o.SetFinalizers([]string{"example.com/wait"}) })
	r.countAnew()
	r.want("settings", settings, tombstone)
	item := r.await("settings", "not gone yet", func(i workv1alpha1.FeedbackItem) bool { return !i.Applied && !i.Deleted })
	if !strings.Contains(item.AppliedMessage, "example.com/wait") {
		t.Errorf("report: %q, want it to name the finalizer", item.AppliedMessage)
	}
	r.settle()
	if got := r.member.Requests()["delete configmaps"]; got != 1 {
		t.Errorf("%d deletes of one object, want 1", got)
	}
	r.member.Remove(t, "ConfigMap", "shop", "settings")
	r.await("settings", "deleted once the finalizer is gone", deleted)
}

// TestPruneInTime has the member end a Pod in the time that the user gives it, also when
// that gets shorter.
func TestPruneInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const pod = `{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop%s}}`
	r.member.Put(t, fake.Manifest(t, shop))
	object := fake.Manifest(t, fmt.Sprintf(pod, ", finalizers: [example.com/wait]"))
	mark(object)
	r.member.Put(t, object)
	ending := func(grace string, seconds int64, deletes int) {
		t.Helper()
		r.want("web", fmt.Sprintf(pod, grace), tombstone)
		r.eventually("the pod to end in time", func() error {
			live := r.member.Get("Pod", "shop", "web")
			if got := live.GetDeletionGracePeriodSeconds(); live.GetDeletionTimestamp() == nil || got == nil || *got != seconds {
				return fmt.Errorf("it ends %v in %v s", live.GetDeletionTimestamp(), got)
			}
			return nil
		})
		r.settle()
		if got := r.member.Requests()["delete pods"]; got != deletes {
			t.Errorf("%d deletes in all, want %d", got, deletes)
		}
	}
	ending(", deletionGracePeriodSeconds: 60", 60, 1)
	ending(", deletionGracePeriodSeconds: 5", 5, 2)
	// More time than it was given it does not get, nor less for want of an answer.
	ending(", deletionGracePeriodSeconds: 30", 5, 2)
	ending("", 5, 2)
}

func TestPruneReleases(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("web", webDeployment)
	r.await("web", "applied", applied)
	r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, int64(3), "status", "replicas") })
	r.countAnew()
	before := r.member.Get("Deployment", "shop", "web")
	r.want("web", webDeployment, orphaned)
	r.await("web", "released", deleted)
	after := r.member.Get("Deployment", "shop", "web")
	if after == nil || after.GetUID() != before.GetUID() {
		t.Fatal("a released object is gone")
	}
	if diff := cmp.Diff(map[string]string{"app": "web"}, after.GetLabels()); diff != "" {
		t.Errorf("labels: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{wellknown.AnnotationCreatedBy: testFleet, wellknown.AnnotationTemplateUID: "uid-1"}, after.GetAnnotations()); diff != "" {
		t.Errorf("annotations: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before.Object["spec"], after.Object["spec"]); diff != "" {
		t.Errorf("to release it changed the spec: -want +got:\n%s", diff)
	}
	for _, entry := range after.GetManagedFields() {
		if entry.Manager == wellknown.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply {
			t.Errorf("a released object has fields of ours: %v", entry)
		}
	}
}

// To adopt what is there gives no right to delete it, nor what it holds that the
// fleet never knew of.
func TestPruneAdopted(t *testing.T) {
	t.Parallel()
	const empty = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}}`
	cases := map[string]struct {
		reason     string
		resolution policyv1alpha1.ConflictResolution
		existing   map[string]string // annotations
		stays      bool
	}{
		"IfNoDiff": {
			reason:     "it was there before the fleet",
			resolution: policyv1alpha1.ConflictIfNoDiff,
			stays:      true,
		},
		"Overwrite": {
			reason:     "the user gave it to the fleet",
			resolution: policyv1alpha1.ConflictOverwrite,
		},
		"ReleasedByUs": {
			reason:     "the fleet created it, the member left and joined again",
			resolution: policyv1alpha1.ConflictIfNoDiff,
			existing:   map[string]string{wellknown.AnnotationCreatedBy: testFleet},
		},
		"ReleasedByAnother": {
			reason:     "another fleet created it",
			resolution: policyv1alpha1.ConflictIfNoDiff,
			existing:   map[string]string{wellknown.AnnotationCreatedBy: "fleet-2"},
			stays:      true,
		},
		"LostItsLabel": {
			reason:     "it came from this very template",
			resolution: policyv1alpha1.ConflictIfNoDiff,
			existing:   map[string]string{wellknown.AnnotationTemplateUID: "uid-1"},
		},
		"AdoptedLostItsLabel": {
			reason:     "it was adopted before",
			resolution: policyv1alpha1.ConflictIfNoDiff,
			existing:   map[string]string{wellknown.AnnotationTemplateUID: "uid-1", wellknown.AnnotationAdopted: "true"},
			stays:      true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.member.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`))
			existing := fake.Manifest(t, settings)
			existing.SetAnnotations(tc.existing)
			r.member.Put(t, existing)
			r.want("settings", empty, resolving(tc.resolution))
			r.await("settings", "applied", applied)
			if got := r.member.Get("ConfigMap", "shop", "settings").GetAnnotations()[wellknown.AnnotationAdopted] == "true"; got != tc.stays {
				t.Errorf("%s: it is marked as adopted: %t, want %t", tc.reason, got, tc.stays)
			}
			r.want("settings", empty, resolving(tc.resolution), tombstone)
			r.await("settings", "confirmed", deleted)
			after := r.member.Get("ConfigMap", "shop", "settings")
			if !tc.stays {
				if after != nil {
					t.Errorf("%s: it stays: %v", tc.reason, after)
				}
				return
			}
			if diff := cmp.Diff(map[string]string{"greeting": "hello"}, dataOf(after)); diff != "" {
				t.Fatalf("%s: data of the member's own: -want +got:\n%s", tc.reason, diff)
			}
			if len(after.GetLabels()) != 0 || len(after.GetAnnotations()) != 0 {
				t.Errorf("%s: it was released with marks of the fleet: %v", tc.reason, after.Object["metadata"])
			}
		})
	}
}

// What is adopted stays so, over a restart and over what is applied later, and
// costs no write by itself.
func TestAdoptedStaysAdopted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.member.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`))
	r.member.Put(t, fake.Manifest(t, settings))
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.countAnew()
	r.mu.Lock()
	clear(r.items)
	r.mu.Unlock()
	stop := r.start()
	defer stop()
	r.await("settings", "applied, after the restart", applied)
	r.settle()
	if got := r.member.Writes(); got != 0 {
		t.Errorf("a restart costs %d writes to what was adopted: %v", got, r.member.Requests())
	}
	second := func(w *workv1alpha1.Work) { w.Spec.ContentHash = "2" }
	r.want("settings", withData("greeting", "bye"), second)
	r.await("settings", "the new content", func(i workv1alpha1.FeedbackItem) bool { return i.ContentHash == "2" && i.Applied })
	if r.member.Get("ConfigMap", "shop", "settings").GetAnnotations()[wellknown.AnnotationAdopted] != "true" {
		t.Error("the mark went with new content")
	}
	r.want("settings", withData("greeting", "bye"), resolving(policyv1alpha1.ConflictOverwrite), func(w *workv1alpha1.Work) { w.Spec.ContentHash = "3" })
	r.await("settings", "taken over", func(i workv1alpha1.FeedbackItem) bool { return i.ContentHash == "3" && i.Applied })
	if _, marked := r.member.Get("ConfigMap", "shop", "settings").GetAnnotations()[wellknown.AnnotationAdopted]; marked {
		t.Error("the mark stays though the policy says Overwrite")
	}
}

// A member that leaves, keeping its objects, and joins again is as before.
func TestReleaseThenAdoptAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("settings", settings, orphaned)
	r.await("settings", "released", deleted)
	r.want("settings", settings)
	r.await("settings", "adopted", applied)
	r.countAnew()
	r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { put(t, o, "mine", "data", "extra") })
	r.settle()
	if got := r.member.Writes(); got != 0 {
		t.Errorf("what was adopted again is written for nothing: %v", r.member.Requests())
	}
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	if r.member.Get("ConfigMap", "shop", "settings") != nil {
		t.Error("what the fleet created stays after its deletion")
	}
}

// What the fleet created is its own when its member comes back, though the template
// changed while it was away.
func TestReleaseThenApplyChanged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("settings", settings, orphaned)
	r.await("settings", "released", deleted)
	r.want("settings", withData("greeting", "changed"))
	r.await("settings", "taken back", applied)
	r.settingsAre(map[string]string{"greeting": "changed"})
}

// What a user kept when its template went is not another template's for its name.
func TestReleaseThenNamesake(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("settings", settings, orphaned)
	r.await("settings", "released", deleted)
	r.want("settings", strings.Replace(withData("greeting", "new"), "name: settings,", "name: settings, annotations: {fleet.dev/template-uid: uid-2},", 1),
		func(w *workv1alpha1.Work) { w.Spec.Template.UID = "uid-2" })
	r.await("settings", "refused", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason == workv1alpha1.AppliedReasonConflict })
	r.settingsAre(map[string]string{"greeting": "hello"})
}

// A template copied from a member does not bring marks along.
func TestCopiedMarksAreNotApplied(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", strings.Replace(settings, "name: settings,", `name: settings, annotations: {fleet.dev/adopted: "true", fleet.dev/created-by: fleet-2},`, 1))
	r.await("settings", "applied", applied)
	annotations := r.member.Get("ConfigMap", "shop", "settings").GetAnnotations()
	if annotations[wellknown.AnnotationAdopted] != "" || annotations[wellknown.AnnotationCreatedBy] != "" {
		t.Errorf("annotations of what the fleet created: %v", annotations)
	}
}

func TestPruneNamespace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const ours = `{apiVersion: v1, kind: Namespace, metadata: {name: ours}}`
	const theirs = `{apiVersion: v1, kind: Namespace, metadata: {name: theirs}}`
	r.member.Put(t, fake.Manifest(t, theirs))
	r.want("ours", ours)
	r.want("theirs", theirs)
	r.await("ours", "applied", applied)
	r.await("theirs", "applied", applied)
	r.want("ours", ours, tombstone)
	r.want("theirs", theirs, tombstone)
	r.await("ours", "deleted", deleted)
	r.await("theirs", "confirmed", deleted)
	if r.member.Get("Namespace", "", "ours") != nil {
		t.Error("a namespace the fleet created stays")
	}
	if r.member.Get("Namespace", "", "theirs") == nil {
		t.Error("a namespace the fleet did not create was deleted")
	}
}

// A name that is used again ends in the new object running.
func TestPruneThenCreateAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	anew := strings.Replace(withData("greeting", "new"), "name: settings,", "name: settings, annotations: {fleet.dev/template-uid: uid-2},", 1)
	r.want("settings", anew, func(w *workv1alpha1.Work) { w.Spec.Template.UID = "uid-2" })
	r.await("settings", "applied anew", func(i workv1alpha1.FeedbackItem) bool { return i.Applied && i.TemplateUID == "uid-2" })
	r.settingsAre(map[string]string{"greeting": "new"})
}

func TestDecideEnd(t *testing.T) {
	object := func(change func(*unstructured.Unstructured)) *observed {
		o := fake.Manifest(t, settings)
		mark(o)
		change(o)
		live, err := observe(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		return live
	}
	same := func(*unstructured.Unstructured) {}
	configMap, namespace := target{kind: fake.DefaultKinds()[3].GroupVersionKind}, target{kind: fake.DefaultKinds()[0].GroupVersionKind}
	cases := map[string]struct {
		reason string
		target target
		live   *observed
		keep   bool
		want   ending
	}{
		"Absent":            {"there is nothing to do", configMap, nil, false, confirm},
		"Ours":              {"it came from that template", configMap, object(same), false, remove},
		"Kept":              {"the user wants it to stay", configMap, object(same), true, release},
		"KeptButNotOurs":    {"there are no marks of ours to take off", configMap, object(func(o *unstructured.Unstructured) { o.SetLabels(nil) }), true, confirm},
		"NamespaceNotMade":  {"it was there before", namespace, object(same), false, release},
		"NamespaceMade":     {"it would not exist without the fleet", namespace, object(markCreated), false, remove},
		"Adopted":           {"it was there before", configMap, object(func(o *unstructured.Unstructured) { annotate(o, wellknown.AnnotationAdopted, "true") }), false, release},
		"NamespaceMadeKept": {"the user wants it to stay", namespace, object(markCreated), true, release},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got, why := decideEnd(tc.target, tc.live, "uid-1", testFleet, tc.keep); got != tc.want {
				t.Errorf("%s: decideEnd() = %d (%s), want %d", tc.reason, got, why, tc.want)
			}
		})
	}
}
