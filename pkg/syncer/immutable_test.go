// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

// TestRefusedOnce: what the member refuses is not sent again because its status
// changes, nor again and again because others change it.
func TestRefusedOnce(t *testing.T) {
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
	r.want("web", strings.Replace(webDeployment, "nginx", "httpd", 1), func(w *workv1alpha1.Work) { w.Spec.ContentHash = "2" })
	r.await("web", "denied", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason == workv1alpha1.AppliedReasonDenied })
	for n := range int64(20) {
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, n+1, "status", "readyReplicas") })
		r.await("web", "its status beside the refusal", func(i workv1alpha1.FeedbackItem) bool {
			return i.AppliedReason == workv1alpha1.AppliedReasonDenied && i.Status != nil && strings.Contains(string(i.Status.Raw), "readyReplicas")
		})
	}
	r.settle()
	// The second try is due after 5 seconds, which a slow machine may have used up.
	if got := r.member.Requests()["apply deployments"]; got > 3 {
		t.Errorf("it was sent %d times, want once for 20 changes of the status", got)
	}
	for n := range int64(20) {
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, n+1, "spec", "minReadySeconds") })
		r.settle()
	}
	if got := r.member.Requests()["apply deployments"]; got > 3*freeRefusals {
		t.Errorf("it was sent %d times for 20 changes by others, want at most %d", got, 3*freeRefusals)
	}
}

// TestLostFields: what the member takes and drops is told, and not sent again, not even
// by a new process.
func TestLostFields(t *testing.T) {
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
