// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

// unchangeable refuses to change data of ConfigMaps that exist, for the causes.
func (r *rig) unchangeable(causes ...*field.Error) {
	exists := true
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		// A look finds out by reading whether it is gone.
		if request.Verb == "get" && request.Resource == "configmaps" {
			exists = false
		}
		if request.Verb != "apply" || request.Resource != "configmaps" || !exists {
			return nil
		}
		return apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, request.Name, causes)
	})
}

var immutableData = field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set")

func TestImmutable(t *testing.T) {
	t.Parallel()
	recreate := func(w *workv1alpha1.Work) { w.Spec.RecreatePolicy = policyv1alpha1.RecreateOnImmutableChange }
	second := func(w *workv1alpha1.Work) { w.Spec.ContentHash = "2" }
	protect := func(t *testing.T, r *rig) {
		t.Helper()
		r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) {
			put(t, o, wellknown.DeletionProtectedAlways, "metadata", "labels", wellknown.LabelDeletionProtected)
		})
	}
	adopted := func(t *testing.T, r *rig) {
		t.Helper()
		r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) {
			put(t, o, "true", "metadata", "annotations", wellknown.AnnotationAdopted)
		})
	}
	cases := map[string]struct {
		reason string
		before func(*testing.T, *rig)
		change []func(*workv1alpha1.Work)
		causes []*field.Error
		// advice is part of the message, empty when the object is recreated.
		advice string
	}{
		"Recreated":   {reason: "the policy says so", change: []func(*workv1alpha1.Work){second, recreate}},
		"NoPolicy":    {reason: "nothing is deleted unless a policy says so", change: []func(*workv1alpha1.Work){second}, advice: "recreatePolicy"},
		"Protected":   {reason: "its label says never", before: protect, change: []func(*workv1alpha1.Work){second, recreate}, advice: "label"},
		"Adopted":     {reason: "it may hold what the fleet never knew of", before: adopted, change: []func(*workv1alpha1.Work){second, recreate}, advice: "there before the fleet"},
		"AndMore":     {reason: "a new one would be refused as well", change: []func(*workv1alpha1.Work){second, recreate}, causes: []*field.Error{field.Required(field.NewPath("x"), "")}, advice: "not all the member has against it"},
		"SameContent": {reason: "a new one would be the same, forever", change: []func(*workv1alpha1.Work){recreate}, advice: "would not help"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.want("settings", settings, func(w *workv1alpha1.Work) { w.Spec.ContentHash = "1" })
			r.await("settings", "applied", applied)
			if tc.before != nil {
				tc.before(t, r)
			}
			r.settle()
			before := r.member.Get("ConfigMap", "shop", "settings")
			r.unchangeable(append([]*field.Error{immutableData}, tc.causes...)...)
			change := append([]func(*workv1alpha1.Work){func(w *workv1alpha1.Work) { w.Spec.ContentHash = "1" }}, tc.change...)
			r.want("settings", withData("greeting", "bye"), change...)
			if tc.advice == "" {
				item := r.await("settings", "being recreated", func(i workv1alpha1.FeedbackItem) bool {
					return i.AppliedReason == workv1alpha1.AppliedReasonRecreating || i.Applied && i.ContentHash == "2"
				})
				if !item.Applied && !strings.Contains(item.AppliedMessage, "data") {
					t.Errorf("%s: the message is %q, want the field", tc.reason, item.AppliedMessage)
				}
				item = r.await("settings", "applied anew", func(i workv1alpha1.FeedbackItem) bool { return i.Applied && i.ContentHash == "2" })
				if item.AppliedReason != workv1alpha1.AppliedReasonRecreated || !strings.Contains(item.AppliedMessage, "data") {
					t.Errorf("%s: report: %s %q, want %s and the field", tc.reason, item.AppliedReason, item.AppliedMessage, workv1alpha1.AppliedReasonRecreated)
				}
			} else {
				item := r.await("settings", "immutable", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason == workv1alpha1.AppliedReasonImmutable })
				for _, part := range []string{tc.advice, immutableData.Detail} {
					if !strings.Contains(item.AppliedMessage, part) {
						t.Errorf("%s: the message is %q, want %q in it", tc.reason, item.AppliedMessage, part)
					}
				}
				r.settle()
			}
			after := r.member.Get("ConfigMap", "shop", "settings")
			if replaced := before.GetUID() != after.GetUID(); replaced != (tc.advice == "") {
				t.Errorf("%s: it was replaced: %t", tc.reason, replaced)
			}
			want := map[string]string{"greeting": "hello"}
			if tc.advice == "" {
				want = map[string]string{"greeting": "bye"}
			}
			if diff := cmp.Diff(want, dataOf(after)); diff != "" {
				t.Errorf("%s: data: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRecreateWaits: an object with a finalizer is waited for, and asked to be deleted
// once.
func TestRecreateWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings, func(w *workv1alpha1.Work) { w.Spec.ContentHash = "1" })
	r.await("settings", "applied", applied)
	r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { o.SetFinalizers([]string{"example.com/wait"}) })
	r.countAnew()
	r.unchangeable(immutableData)
	r.want("settings", withData("greeting", "bye"), func(w *workv1alpha1.Work) {
		w.Spec.ContentHash, w.Spec.RecreatePolicy = "2", policyv1alpha1.RecreateOnImmutableChange
	})
	r.await("settings", "what it waits for", func(i workv1alpha1.FeedbackItem) bool {
		return i.AppliedReason == workv1alpha1.AppliedReasonRecreating && strings.Contains(i.AppliedMessage, "example.com/wait")
	})
	r.settle()
	if got := r.member.Requests()["delete configmaps"]; got != 1 {
		t.Errorf("the member was asked %d times to delete it, want once: %v", got, r.member.Requests())
	}
	r.member.Remove(t, "ConfigMap", "shop", "settings")
	r.await("settings", "applied anew", func(i workv1alpha1.FeedbackItem) bool { return i.Applied && i.ContentHash == "2" })
}

// TestNeverRecreated: kinds that hold data stay, whatever the policy says.
func TestNeverRecreated(t *testing.T) {
	t.Parallel()
	const claim = `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: default}, spec: {volumeName: a}}`
	r := newIdleRig(t)
	r.member.Serve(fake.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}, Resource: "persistentvolumeclaims", Namespaced: true})
	r.start()
	r.want("data", claim)
	r.await("data", "applied", applied)
	r.countAnew()
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		if request.Verb != "apply" {
			return nil
		}
		return apierrors.NewInvalid(schema.GroupKind{Kind: "PersistentVolumeClaim"}, "data", field.ErrorList{field.Forbidden(field.NewPath("spec"), "spec is immutable after creation")})
	})
	r.want("data", strings.Replace(claim, "volumeName: a", "volumeName: b", 1), func(w *workv1alpha1.Work) {
		w.Spec.ContentHash, w.Spec.RecreatePolicy = "2", policyv1alpha1.RecreateOnImmutableChange
	})
	item := r.await("data", "immutable", notApplied)
	if item.AppliedReason != workv1alpha1.AppliedReasonImmutable || !strings.Contains(item.AppliedMessage, "never recreated") {
		t.Errorf("report: %s %q, want %s and that claims are never recreated", item.AppliedReason, item.AppliedMessage, workv1alpha1.AppliedReasonImmutable)
	}
	r.settle()
	if got := r.member.Requests()["delete persistentvolumeclaims"]; got != 0 {
		t.Errorf("a claim was deleted")
	}
}

// TestRecreateRefused: nothing is deleted that the member would not take anew, and a
// rehearsal stores nothing.
func TestRecreateRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("s", 250)
	denied := func(name string) *apierrors.StatusError {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, name, errors.New("exceeded quota: objects"))
	}
	cases := map[string]struct {
		reason string
		object string
		answer func(name string) *apierrors.StatusError
		said   string
	}{
		"Denied":   {"its admission speaks only now", "settings", denied, `configmaps "settings" is forbidden: exceeded quota: objects`},
		"LongName": {"a name has room for no more", long, denied, `configmaps "` + long + `" is forbidden: exceeded quota: objects`},
		"NoDryRun": {"a webhook with side effects cannot be asked", "settings", func(string) *apierrors.StatusError {
			return apierrors.NewBadRequest("admission webhook x does not support dry run")
		}, "does not support dry run"},
		"Overtaxed": {"it may take it later", "settings", func(string) *apierrors.StatusError {
			return apierrors.NewInternalError(errors.New("failed calling webhook"))
		}, "failed calling webhook"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifest := strings.Replace(settings, "name: settings", "name: "+tc.object, 1)
			r := newRig(t)
			r.want("settings", manifest, func(w *workv1alpha1.Work) { w.Spec.ContentHash = "1" })
			r.await("settings", "applied", applied)
			r.countAnew()
			before := r.member.Get("ConfigMap", "shop", tc.object)
			r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
				switch {
				case request.Verb == "apply":
					return apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, request.Name, field.ErrorList{immutableData})
				case request.Verb == "create" && request.DryRun:
					return tc.answer(rehearsalName(&observed{ObjectMeta: metav1.ObjectMeta{Name: before.GetName(), UID: before.GetUID()}}))
				}
				return nil
			})
			r.want("settings", strings.Replace(manifest, "hello", "bye", 1), func(w *workv1alpha1.Work) {
				w.Spec.ContentHash, w.Spec.RecreatePolicy = "2", policyv1alpha1.RecreateOnImmutableChange
			})
			item := r.await("settings", "immutable", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason == workv1alpha1.AppliedReasonImmutable })
			for _, part := range []string{immutableData.Detail, "would not take a new one: ", tc.said} {
				if !strings.Contains(item.AppliedMessage, part) {
					t.Errorf("%s: the message is %q, want %q in it", tc.reason, item.AppliedMessage, part)
				}
			}
			if got := r.member.Requests(); got["create configmaps"] == 0 || got["delete configmaps"] != 0 {
				t.Errorf("%s: want it rehearsed and not deleted: %v", tc.reason, got)
			}
			if diff := cmp.Diff(before, r.member.Get("ConfigMap", "shop", tc.object)); diff != "" {
				t.Errorf("%s: it changed: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRehearsalName(t *testing.T) {
	const length = rehearsedName + len("-01234567")
	for name, want := range map[string]string{
		"web":                          "web-",
		strings.Repeat("a", 39) + ".b": strings.Repeat("a", 39) + "-",
		strings.Repeat("a", 253):       strings.Repeat("a", 40) + "-",
		"system:" + strings.Repeat("a", 32) + ":x": "system:" + strings.Repeat("a", 32) + "-",
	} {
		live := &observed{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}}
		got := rehearsalName(live)
		if !strings.HasPrefix(got, want) || len(got) != len(want)+8 || len(got) > length || got != rehearsalName(live) {
			t.Errorf("rehearsalName(%q) = %q, want %q and 8 digits, always the same", name, got, want)
		}
	}
}

// TestStatefulSetsKeepPods: a StatefulSet goes without its Pods, and only when the new
// one takes them over.
func TestStatefulSetsKeepPods(t *testing.T) {
	t.Parallel()
	const set = `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: default}, spec: {serviceName: one,
 selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db, tier: data}}, spec: {containers: [{name: db, image: db}]}}}}`
	both := strings.NewReplacer("matchLabels: {app: db}", "matchLabels: {app: other}", "labels: {app: db,", "labels: {app: other,")
	cases := map[string]struct {
		reason  string
		change  *strings.Replacer
		replace bool
	}{
		"OtherField":      {"the new one selects its Pods", strings.NewReplacer("serviceName: one", "serviceName: two"), true},
		"OtherLabel":      {"nobody selects by it", strings.NewReplacer("tier: data", "tier: cache"), true},
		"Selector":        {"the new one does not select the Pods there are", both, false},
		"NarrowSelector":  {"nor when it selects by more than they have", strings.NewReplacer("matchLabels: {app: db}", "matchLabels: {app: db, new: x}", "tier: data", "tier: data, new: x"), false},
		"BroaderSelector": {"two would select Pods of each other", strings.NewReplacer("matchLabels: {app: db}", "matchLabels: {tier: data}", "labels: {app: db,", "labels: {app: other,"), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newIdleRig(t)
			r.member.Serve(fake.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}, Resource: "statefulsets", Namespaced: true})
			r.start()
			r.want("db", set, func(w *workv1alpha1.Work) { w.Spec.ContentHash = "1" })
			r.await("db", "applied", applied)
			r.countAnew()
			before := r.member.Get("StatefulSet", "default", "db")
			deleted := false
			r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
				deleted = deleted || request.Verb == "delete" && request.Resource == "statefulsets"
				if request.Verb != "apply" || deleted {
					return nil
				}
				return apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, "db", field.ErrorList{
					field.Forbidden(field.NewPath("spec"), "updates to statefulset spec for fields other than 'replicas' are forbidden"),
				})
			})
			r.want("db", tc.change.Replace(set), func(w *workv1alpha1.Work) {
				w.Spec.ContentHash, w.Spec.RecreatePolicy = "2", policyv1alpha1.RecreateOnImmutableChange
			})
			if tc.replace {
				r.await("db", "applied anew", func(i workv1alpha1.FeedbackItem) bool { return i.Applied && i.ContentHash == "2" })
			} else {
				item := r.await("db", "immutable", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason == workv1alpha1.AppliedReasonImmutable })
				if want := "a new one would not take them over"; !strings.Contains(item.AppliedMessage, want) {
					t.Errorf("%s: the message is %q, want %q in it", tc.reason, item.AppliedMessage, want)
				}
				r.settle()
			}
			if replaced := r.member.Get("StatefulSet", "default", "db").GetUID() != before.GetUID(); replaced != tc.replace {
				t.Errorf("%s: it was replaced: %t", tc.reason, replaced)
			}
		})
	}
}

// TestRefusedOnce: what the member refuses is not sent again because its status
// changes, nor again and again because others change it.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("web", webDeployment)
	r.await("web", "applied", applied)
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		if request.Verb == "apply" {
			return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "web", errors.New("no"))
		}
		return nil
	})
	r.countAnew()
	start := time.Now()
	r.want("web", strings.Replace(webDeployment, "nginx", "httpd", 1), func(w *workv1alpha1.Work) { w.Spec.ContentHash = "2" })
	r.await("web", "denied", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason == workv1alpha1.AppliedReasonDenied })
	for n := range int64(20) {
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, n+1, "status", "readyReplicas") })
		r.await("web", "its status beside the refusal", func(i workv1alpha1.FeedbackItem) bool {
			return i.AppliedReason == workv1alpha1.AppliedReasonDenied && i.Status != nil && strings.Contains(string(i.Status.Raw), "readyReplicas")
		})
	}
	r.settle()
	if got, most := r.member.Requests()["apply deployments"], 1+triesDue(time.Since(start)); got > most {
		t.Errorf("it was sent %d times for 20 changes of the status, want at most %d in %s", got, most, time.Since(start))
	}
	for n := range int64(20) {
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, n+1, "spec", "minReadySeconds") })
		r.settle()
	}
	if got, most := r.member.Requests()["apply deployments"], 1+freeRefusals+triesDue(time.Since(start)); got > most {
		t.Errorf("it was sent %d times for 20 changes by others, want at most %d in %s", got, most, time.Since(start))
	}
}

// triesDue is how often something that was refused may be tried again in a time, however
// slow the machine is.
func triesDue(in time.Duration) int {
	n := 0
	for in -= later.backoff(1); in >= 0; in -= later.backoff(n + 1) {
		n++
	}
	return n
}

// TestLostFields: what the member takes and drops is told, and not sent again, not even
// by a new process.
func TestLostFields(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	stop := r.start()
	r.member.Normalize(func(o *unstructured.Unstructured) { unstructured.RemoveNestedField(o.Object, "data", "extra") })
	const both = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}, data: {greeting: hello, extra: more}}`
	r.want("settings", both)
	item := r.await("settings", "applied", applied)
	want := "the member takes and drops .data.extra"
	if item.AppliedReason != workv1alpha1.AppliedReasonPruned || item.AppliedMessage != want {
		t.Errorf("report: %s %q, want %s %q", item.AppliedReason, item.AppliedMessage, workv1alpha1.AppliedReasonPruned, want)
	}
	stop()
	r.member.ResetRequests()
	r.mu.Lock()
	clear(r.items)
	r.mu.Unlock()
	r.start()
	item = r.await("settings", "applied, after a restart", applied)
	if item.AppliedReason != workv1alpha1.AppliedReasonPruned || item.AppliedMessage != want {
		t.Errorf("report after a restart: %s %q, want %s %q", item.AppliedReason, item.AppliedMessage, workv1alpha1.AppliedReasonPruned, want)
	}
	r.settle()
	if got := r.member.Writes(); got != 0 {
		t.Errorf("a restart costs %d writes: %v", got, r.member.Requests())
	}
}
