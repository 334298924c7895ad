// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

func TestPruneDeletes(t *testing.T) {
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.countAnew()
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	if r.member.Get("ConfigMap", "shop", "settings") != nil {
		t.Error("the object is there though its deletion was confirmed")
	}
	if diff := cmp.Diff(map[string]int{"get configmaps": 2, "delete configmaps": 1}, r.member.Requests()); diff != "" {
		t.Errorf("requests to delete one object: -want +got:\n%s", diff)
	}
	if r.member.Get("Namespace", "", "shop") == nil {
		t.Error("the namespace went with the object")
	}
}

func TestPruneSpares(t *testing.T) {
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
	cases := map[string]struct{ reason, manifest string }{
		"Object": {"it never came to be", settings},
		"Kind":   {"objects of a kind that is not served do not exist", `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: shop}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.want("gone", tc.manifest, tombstone)
			r.await("gone", "confirmed", deleted)
			if got := r.member.Writes(); got != 0 {
				t.Errorf("%s: %d writes: %v", tc.reason, got, r.member.Requests())
			}
		})
	}
}

func TestPruneAwaitsFinalizers(t *testing.T) {
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

func TestPruneReleases(t *testing.T) {
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
	if diff := cmp.Diff(map[string]string{}, after.GetAnnotations(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("annotations: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before.Object["spec"], after.Object["spec"]); diff != "" {
		t.Errorf("to release it changed the spec: -want +got:\n%s", diff)
	}
	for _, entry := range after.GetManagedFields() {
		if entry.Manager == wellknown.FieldManager {
			t.Errorf("a released object has fields of ours: %v", entry)
		}
	}
}

func TestPruneNamespace(t *testing.T) {
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
		live, err := observe(o)
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
