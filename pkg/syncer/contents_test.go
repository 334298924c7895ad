// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

const shop = `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`

func TestPruneNamespaceWithContents(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason   string
		contents []string
		stays    bool
	}{
		"Empty": {reason: "nobody put anything there"},
		"WhatEveryNamespaceHas": {
			reason: "Kubernetes made it, not a user",
			contents: []string{
				`{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt, namespace: shop}}`,
				`{apiVersion: v1, kind: Event, metadata: {name: web.1, namespace: shop}}`,
			},
		},
		"Others": {
			reason:   "what somebody put there would be deleted with the namespace",
			contents: []string{`{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: shop}}`},
			stays:    true,
		},
		"Elsewhere": {
			reason:   "it is in another namespace",
			contents: []string{`{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: default}}`},
		},
		"Remains": {
			reason: "its owner was the fleet's and is gone; the garbage collector is behind",
			contents: []string{`{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: shop,
				ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: gone}]}}`},
		},
		"OwnedFromOutside": {
			reason: "what is outside of the namespace does not go with it",
			contents: []string{`{apiVersion: v1, kind: Pod, metadata: {name: mirror, namespace: shop,
				ownerReferences: [{apiVersion: v1, kind: Node, name: node-1, uid: uid-n}]}}`},
			stays: true,
		},
		"OfAnotherFleet": {
			reason:   "another fleet put it there",
			contents: []string{`{apiVersion: v1, kind: ConfigMap, metadata: {name: other, namespace: shop, labels: {fleet.dev/managed-by: fleet-2}}}`},
			stays:    true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newIdleRig(t)
			r.member.Serve(fake.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Event"}, Resource: "events", Namespaced: true})
			r.start()
			r.want("shop", shop)
			r.await("shop", "applied", applied)
			for _, text := range tc.contents {
				r.member.Put(t, fake.Manifest(t, text))
			}
			r.want("shop", shop, tombstone)
			item := r.await("shop", "deleted or released", deleted)
			namespace := r.member.Get("Namespace", "", "shop")
			if stays := namespace != nil; stays != tc.stays {
				t.Fatalf("%s: the namespace stays: %t, want %t", tc.reason, stays, tc.stays)
			}
			if !tc.stays {
				return
			}
			if len(namespace.GetLabels()) > 0 || len(namespace.GetAnnotations()) > 0 {
				t.Errorf("%s: it is released, with no mark of the fleet: labels %v, annotations %v", tc.reason, namespace.GetLabels(), namespace.GetAnnotations())
			}
			if item.AppliedReason != workv1alpha1.AppliedReasonNotEmpty || !strings.Contains(item.AppliedMessage, fake.Manifest(t, tc.contents[0]).GetName()) {
				t.Errorf("%s: the report names what is there: %s: %s", tc.reason, item.AppliedReason, item.AppliedMessage)
			}
		})
	}
}

// What of the fleet is in a namespace goes first, by tombstones of its own: it may
// be adopted, or to be released.
func TestPruneNamespaceAfterItsObjects(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.member.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: kept, namespace: shop}, data: {a: b}}`))
	kept := `{apiVersion: v1, kind: ConfigMap, metadata: {name: kept, namespace: shop}, data: {a: b}}`
	r.want("shop", shop)
	r.await("shop", "applied", applied)
	r.want("kept", kept)
	r.await("kept", "adopted", applied)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	finalize := func(finalizers ...string) {
		r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { o.SetFinalizers(finalizers) })
	}
	finalize("example.com/hold")

	r.want("shop", shop, tombstone)
	r.want("settings", settings, tombstone)
	r.want("kept", kept, tombstone)
	r.await("kept", "released", deleted)
	r.drop("kept")
	r.await("settings", "held by a finalizer", notApplied)
	item := r.await("shop", "waiting", notApplied)
	if want := "waits for"; !strings.Contains(item.AppliedMessage, want) {
		t.Errorf("the report says %q, want %q in it", item.AppliedMessage, want)
	}
	if r.member.Get("Namespace", "", "shop") == nil {
		t.Fatal("the namespace went before the objects of the fleet in it")
	}
	r.member.Remove(t, "ConfigMap", "shop", "settings")
	r.await("settings", "deleted", deleted)
	r.drop("settings")
	if item := r.await("shop", "released", deleted); !strings.Contains(item.AppliedMessage, "ConfigMap kept") {
		t.Errorf("the namespace stays for what the fleet adopted and gave back: %q", item.AppliedMessage)
	}
}

// The tombstones of what was in the namespace may come after its own: what has the
// fleet's mark and no work is not given up at once.
func TestPruneNamespaceAwaitsTombstones(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("shop", shop)
	r.want("settings", settings)
	r.await("shop", "applied", applied)
	r.await("settings", "applied", applied)
	r.drop("settings")
	r.want("shop", shop, tombstone)
	r.await("shop", "waiting", notApplied)
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	r.drop("settings")
	r.await("shop", "deleted", deleted)
	if r.member.Get("Namespace", "", "shop") != nil {
		t.Error("the namespace stays though nothing is in it")
	}
}

// A namespace of the same name was created in the fleet meanwhile, with new
// objects.
func TestPruneNamespaceInUseAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("shop", shop)
	r.want("settings", settings)
	r.await("shop", "applied", applied)
	r.await("settings", "applied", applied)
	r.want("shop", shop, tombstone)
	r.await("shop", "confirmed", deleted)
	if namespace := r.member.Get("Namespace", "", "shop"); namespace == nil || namespace.GetLabels()[wellknown.LabelManagedBy] != testFleet {
		t.Errorf("what is in it is wanted, and it is the fleet's as before: %v", namespace)
	}
	if r.member.Get("ConfigMap", "shop", "settings") == nil {
		t.Error("the object went")
	}
}

var widget = fake.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}, Resource: "widgets", Namespaced: true}

const widgetManifest = `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: shop}}`

func TestPruneAsksForTheKind(t *testing.T) {
	t.Parallel()
	const definition = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com},
		spec: {group: example.com, names: {kind: Widget, plural: widgets}}}`
	t.Run("DefinedButNotServed", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.member.Put(t, fake.Manifest(t, definition))
		r.want("w", widgetManifest, tombstone)
		item := r.await("w", "held back", notApplied)
		if item.Deleted || item.AppliedReason != workv1alpha1.AppliedReasonKindNotServed {
			t.Errorf("a kind that is defined may have objects: %+v", item)
		}
		r.member.Remove(t, "CustomResourceDefinition", "", "widgets.example.com")
		r.await("w", "confirmed: without definition there are no objects", deleted)
	})
	t.Run("OtherKindOfTheGroup", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.member.Put(t, fake.Manifest(t, strings.ReplaceAll(strings.ReplaceAll(definition, "Widget", "Gadget"), "widgets", "gadgets")))
		r.want("w", widgetManifest, tombstone)
		r.await("w", "confirmed", deleted)
	})
	t.Run("ServedSinceDiscovery", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.want("settings", settings)
		r.await("settings", "applied", applied) // by now the APIs are known
		r.member.Serve(widget)                  // and nothing tells of this one
		object := fake.Manifest(t, widgetManifest)
		mark(object)
		r.member.Put(t, object)
		r.want("w", widgetManifest, tombstone)
		r.await("w", "deleted", deleted)
		if r.member.Get("Widget", "shop", "w") != nil {
			t.Error("its deletion was confirmed from what was known of the member, and it is there")
		}
	})
	t.Run("BackendAway", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.member.Put(t, fake.Manifest(t, `{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.example.com},
			spec: {group: example.com, service: {name: widgets}}, status: {conditions: [{type: Available, status: "False"}]}}`))
		r.want("w", widgetManifest, tombstone)
		if item := r.await("w", "held back", notApplied); item.Deleted {
			t.Errorf("a backend that does not answer may have objects: %+v", item)
		}
	})
}

// An API server that stopped serving the kind answers 404 as well.
func TestPruneTellsMissingFromNotServed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.settle()
	var served atomic.Bool
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		if request.Resource != "configmaps" || served.Load() || request.Verb == "watch" {
			return nil
		}
		return apierrors.NewGenericServerResponse(http.StatusNotFound, request.Verb, schema.GroupResource{Resource: "configmaps"}, "settings", "404 page not found", 0, true)
	})
	r.want("settings", settings, tombstone)
	if item := r.await("settings", "not confirmed", notApplied); item.Deleted {
		t.Errorf("that the kind is not served for a moment says nothing about the object: %+v", item)
	}
	served.Store(true)
	r.await("settings", "deleted", deleted)
	if r.member.Get("ConfigMap", "shop", "settings") != nil {
		t.Error("the object is there though its deletion was confirmed")
	}
}

// The template left the member, came back and left again; another process made the
// object in between.
func TestPruneServesEachTombstone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	at := func(generation int64) func(*workv1alpha1.Work) {
		return func(w *workv1alpha1.Work) { w.Spec.Deleted, w.Spec.Binding.Generation = true, generation }
	}
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("settings", settings, at(2))
	r.await("settings", "deleted", deleted)
	object := fake.Manifest(t, settings)
	mark(object)
	r.member.Put(t, object)
	r.want("settings", settings, at(4))
	r.await("settings", "deleted again", func(i workv1alpha1.FeedbackItem) bool { return i.Deleted && i.BindingGeneration == 4 })
	if r.member.Get("ConfigMap", "shop", "settings") != nil {
		t.Error("what was known about the first tombstone was taken for the second")
	}
}

func TestIsStranger(t *testing.T) {
	now := metav1.Now()
	owns := func(owner metav1.OwnerReference) bool { return owner.Kind == "ReplicaSet" }
	cases := map[string]struct {
		reason string
		kind   string
		meta   metav1.ObjectMeta
		want   bool
	}{
		"Plain":            {reason: "somebody made it", kind: "ConfigMap", meta: metav1.ObjectMeta{Name: "a"}, want: true},
		"Claim":            {reason: "data that a StatefulSet left behind", kind: "PersistentVolumeClaim", meta: metav1.ObjectMeta{Name: "data-db-0"}, want: true},
		"Going":            {reason: "it goes anyway", kind: "Pod", meta: metav1.ObjectMeta{Name: "a", DeletionTimestamp: &now}},
		"DefaultAccount":   {reason: "every namespace has it", kind: "ServiceAccount", meta: metav1.ObjectMeta{Name: "default"}},
		"OtherAccount":     {reason: "somebody made it", kind: "ServiceAccount", meta: metav1.ObjectMeta{Name: "app"}, want: true},
		"DefaultToken":     {reason: "the token of what every namespace has", kind: "Secret", meta: metav1.ObjectMeta{Name: "t", Annotations: map[string]string{"kubernetes.io/service-account.name": "default"}}},
		"Token":            {reason: "the token of an account somebody made", kind: "Secret", meta: metav1.ObjectMeta{Name: "t", Annotations: map[string]string{"kubernetes.io/service-account.name": "app"}}, want: true},
		"Owned":            {reason: "its owner is looked at", kind: "Pod", meta: metav1.ObjectMeta{Name: "a", OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet"}}}},
		"OwnedFromOutside": {reason: "its owner is elsewhere", kind: "Pod", meta: metav1.ObjectMeta{Name: "a", OwnerReferences: []metav1.OwnerReference{{Kind: "Node"}}}, want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := isStranger(schema.GroupKind{Kind: tc.kind}, &metav1.PartialObjectMetadata{ObjectMeta: tc.meta}, owns)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: isStranger, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
