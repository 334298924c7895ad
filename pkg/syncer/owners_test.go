// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

const (
	ownerManifest = `{apiVersion: v1, kind: ConfigMap, metadata: {name: owner, namespace: shop}, data: {a: b}}`
	// ownedManifest belongs to it in the fleet.
	ownedManifest = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop, labels: {app: web},
		ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: uid-1, controller: true}]},
		spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}}}`
	// freeManifest is the same with no owner.
	freeManifest = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop, labels: {app: web}},
		spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}}}`
)

// refersTo returns the uids of the owners of the Deployment in the member.
func (r *rig) refersTo() []types.UID {
	r.Helper()
	object := r.member.Get("Deployment", "shop", "web")
	if object == nil {
		r.Fatal("the member has no Deployment")
	}
	var uids []types.UID
	for _, reference := range object.GetOwnerReferences() {
		uids = append(uids, reference.UID)
	}
	return uids
}

func (r *rig) awaitOwners(reason string, want func() []types.UID) {
	r.Helper()
	r.eventually(reason, func() error {
		if diff := cmp.Diff(want(), r.refersTo(), cmpopts.EquateEmpty()); diff != "" {
			return fmt.Errorf("owners, -want +got:\n%s", diff)
		}
		return nil
	})
}

func (r *rig) ownerUID() []types.UID {
	if object := r.member.Get("ConfigMap", "shop", "owner"); object != nil {
		return []types.UID{object.GetUID()}
	}
	return nil
}

func none() []types.UID { return nil }

func TestOwners(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("web", ownedManifest)
	r.await("web", "applied", applied)
	r.awaitOwners("an owner that is not there is left out", none)

	r.want("owner", ownerManifest)
	r.await("owner", "applied", applied)
	r.awaitOwners("it belongs to the object of its owner when that comes", r.ownerUID)
	reference := r.member.Get("Deployment", "shop", "web").GetOwnerReferences()[0]
	want := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", Controller: new(true)}
	if diff := cmp.Diff(want, reference, cmpopts.IgnoreFields(metav1.OwnerReference{}, "UID")); diff != "" {
		t.Errorf("reference, -want +got:\n%s", diff)
	}
	r.countAnew()
	r.want("web", ownedManifest)
	r.settle()
	if got := r.member.Writes(); got != 0 {
		t.Errorf("nothing is written when nothing changed: %v", r.member.Requests())
	}

	r.member.Remove(t, "ConfigMap", "shop", "owner")
	r.eventually("the owner to be back", func() error {
		if r.ownerUID() == nil {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	r.awaitOwners("it belongs to the one that came in its place", r.ownerUID)

	r.want("web", freeManifest)
	r.awaitOwners("it belongs to nobody when its template does not", none)
}

func TestOwnersOfAnotherTemplate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("owner", ownerManifest, func(w *workv1alpha1.Work) { w.Spec.Template.UID = "uid-2" })
	r.await("owner", "applied", applied)
	r.want("web", ownedManifest)
	r.await("web", "applied", applied)
	r.settle()
	r.awaitOwners("the owner of that name is another one", none)
}

// The member's garbage collector deletes what belongs to an object that goes.
func TestOwnerGoes(t *testing.T) {
	t.Parallel()
	belongs := func(t *testing.T) *rig {
		t.Helper()
		r := newRig(t)
		r.want("shop", shop)
		r.want("owner", ownerManifest)
		r.await("owner", "applied", applied)
		r.want("web", ownedManifest)
		r.await("web", "applied", applied)
		r.awaitOwners("it to have its owner", r.ownerUID)
		return r
	}
	// onDelete returns a function that waits until the owner is about to be deleted,
	// looks, and has it deleted.
	onDelete := func(r *rig) func(look func()) {
		asked, looked := make(chan struct{}, 1), make(chan struct{})
		r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
			if request.Verb != "delete" || request.Resource != "configmaps" {
				return nil
			}
			select {
			case <-looked:
				return nil
			default:
			}
			ring(asked)
			return apierrors.NewTooManyRequests("busy", 0)
		})
		return func(look func()) {
			<-asked
			look()
			close(looked)
		}
	}
	t.Run("DependentStays", func(t *testing.T) {
		t.Parallel()
		r := belongs(t)
		before := onDelete(r)
		r.want("owner", ownerManifest, tombstone)
		before(func() {
			if got := r.refersTo(); len(got) > 0 {
				t.Errorf("it would go with its owner, which it refers to as %v", got)
			}
		})
		r.await("owner", "deleted", deleted)
		r.drop("owner")
		r.want("owner", ownerManifest)
		r.await("owner", "applied again", applied)
		r.awaitOwners("it belongs to the owner that came back", r.ownerUID)
	})
	t.Run("DependentGoes", func(t *testing.T) {
		t.Parallel()
		r := belongs(t)
		r.want("web", ownedManifest, tombstone)
		r.want("owner", ownerManifest, tombstone)
		r.await("web", "deleted", deleted)
		r.await("owner", "deleted", deleted)
	})
	t.Run("DependentIsTheMembersOwn", func(t *testing.T) {
		t.Parallel()
		r := belongs(t)
		made := fake.Manifest(t, ownedManifest)
		made.SetName("made-of-it")
		made.SetLabels(map[string]string{wellknown.LabelManagedBy: testFleet})
		made.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: r.ownerUID()[0]}})
		r.member.Put(t, made)
		r.settle()
		r.want("web", ownedManifest, tombstone)
		r.want("owner", ownerManifest, tombstone)
		r.await("web", "deleted", deleted)
		r.await("owner", "deleted", deleted)
	})
	t.Run("DependentIsReleased", func(t *testing.T) {
		t.Parallel()
		r := belongs(t)
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) {
			o.SetOwnerReferences(append(o.GetOwnerReferences(), metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: "theirs", UID: "theirs"}))
		})
		before := onDelete(r)
		r.want("web", ownedManifest, orphaned)
		r.want("owner", ownerManifest, tombstone)
		before(func() {
			if got := r.refersTo(); slices.Contains(got, r.ownerUID()[0]) {
				t.Errorf("what is released would go with its owner: %v", got)
			}
		})
		r.await("web", "released", deleted)
		r.await("owner", "deleted", deleted)
		if diff := cmp.Diff([]types.UID{"theirs"}, r.refersTo()); diff != "" {
			t.Errorf("others' owners stay, -want +got:\n%s", diff)
		}
	})
	t.Run("DependentIsHeldBack", func(t *testing.T) {
		t.Parallel()
		r := belongs(t)
		r.want("web", ownedManifest, func(w *workv1alpha1.Work) { w.Spec.SuspendDispatching = new(true) })
		r.await("web", "held back", func(i workv1alpha1.FeedbackItem) bool {
			return i.AppliedReason == workv1alpha1.AppliedReasonSuspended
		})
		r.want("owner", ownerManifest, tombstone)
		item := r.await("owner", "waiting", notApplied)
		if !strings.Contains(item.AppliedMessage, "Deployment shop/web") {
			t.Errorf("the report says %q, want it to name what it waits for", item.AppliedMessage)
		}
		if r.ownerUID() == nil {
			t.Fatal("the owner went, and what belongs to it with it")
		}
		r.want("web", ownedManifest)
		r.await("owner", "deleted", deleted)
	})
	t.Run("DependentIsUnknown", func(t *testing.T) {
		t.Parallel()
		r := belongs(t)
		r.drop("web")
		r.settle()
		r.want("owner", ownerManifest, tombstone)
		r.await("owner", "waiting", notApplied)
		if r.ownerUID() == nil {
			t.Fatal("the owner went, and what the fleet knows nothing of with it")
		}
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { o.SetOwnerReferences(nil) })
		r.await("owner", "deleted", deleted)
	})
	t.Run("OwnerStaysAfterAll", func(t *testing.T) {
		t.Parallel()
		r := belongs(t)
		r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
			if request.Verb == "delete" {
				return apierrors.NewTooManyRequests("busy", 0)
			}
			return nil
		})
		r.want("owner", ownerManifest, tombstone)
		r.awaitOwners("nobody to refer to it", none)
		r.want("owner", ownerManifest)
		r.await("owner", "applied", applied)
		r.awaitOwners("it belongs to it again", r.ownerUID)
	})
}

func TestOthersOwners(t *testing.T) {
	object := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{
		"ownerReferences": []any{map[string]any{"uid": "ours", "name": "a"}, map[string]any{"uid": "theirs", "name": "b"}},
	}}}
	object.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: wellknown.FieldManager, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"ours\"}":{}}}}`)},
		{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"theirs\"}":{}}}}`)},
	})
	others, ours := othersOwners(object)
	if diff := cmp.Diff([]any{map[string]any{"uid": "theirs", "name": "b"}}, others); diff != "" || !ours {
		t.Errorf("owners of others (some are ours: %t), -want +got:\n%s", ours, diff)
	}
}
