// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kubernetes/pkg/apis/batch"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

// changing is a member m with what its controllers made, of which the fleet shows all it
// takes for its own.
type changing struct {
	*fake.Member

	writer *writer
}

func newChanging(t *testing.T, kind Kind) *changing {
	t.Helper()
	members := newMembers(t, "m")
	m := members.members["m"]
	m.Serve(fake.Kind{GroupVersionKind: appsv1.SchemeGroupVersion.WithKind("StatefulSet"), Resource: "statefulsets", Namespaced: true})
	m.Serve(fake.Kind{GroupVersionKind: batchv1.SchemeGroupVersion.WithKind("CronJob"), Resource: "cronjobs", Namespaced: true})
	m.Serve(fake.Kind{GroupVersionKind: batchv1.SchemeGroupVersion.WithKind("Job"), Resource: "jobs", Namespaced: true})
	m.Serve(fake.Kind{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), Resource: "persistentvolumeclaims", Namespaced: true})
	u := newUnion(&kind, NoOwners{})
	if err := u.load(1, 1, nil); err != nil {
		t.Fatal(err)
	}
	return &changing{Member: m.Member, writer: &writer{
		kind: &kind, members: members, union: u, fleetID: func() string { return "ours" },
		reserve: func(context.Context, int) error { return nil },
	}}
}

// show has the fleet see an object of the member.
func (c *changing) show(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	typed, err := scheme.Scheme.New(object.GroupVersionKind())
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(c.Put(t, object).Object, typed)
	}
	if err != nil {
		t.Fatal(err)
	}
	seen, shown, err := c.writer.kind.observe("m", typed)
	if err != nil || !shown {
		t.Fatalf("observe %s: want it shown, got %t, %v", object.GetName(), shown, err)
	}
	c.writer.union.put("m", seen, false)
}

// check changes and deletes what is shown, in that order, which both or neither is to be
// done in the member.
//
//nolint:revive // what is changed, how, and whether it is done
func (c *changing) check(t *testing.T, reason, kind, name string, out runtime.Object, label func(runtime.Object), want bool) {
	t.Helper()
	ctx, key := as("anna", "shop", "patch", ""), "shop/"+name
	err := c.writer.update(ctx, key, out, nil, storage.SimpleUpdate(func(object runtime.Object) (runtime.Object, error) {
		label(object)
		return object, nil
	}))
	if live := c.Get(kind, "shop", name); (live.GetLabels()["by"] == "anna") != want || (err == nil) != want {
		t.Errorf("%s\nlabel it: want done %t, got %v with %v", reason, want, live.GetLabels(), err)
	}
	err = c.writer.delete(ctx, key, out, nil, rest.ValidateAllObjectFunc)
	if live := c.Get(kind, "shop", name); (live == nil) != want || (err == nil) != want {
		t.Errorf("%s\ndelete it: want done %t, got %v with %v", reason, want, live != nil, err)
	}
	if !want && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `"m"`)) {
		t.Errorf("%s\nwant it forbidden, with the name of the member, got %v", reason, err)
	}
}

// TestClaimsChanged changes claims of members only where the fleet's StatefulSet claims
// them.
func TestClaimsChanged(t *testing.T) {
	set := func(change func(*unstructured.Unstructured)) *unstructured.Unstructured {
		made := fake.Manifest(t, fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata:
  namespace: shop
  name: db
  labels: {%s: ours}
  annotations: {%s: apps/StatefulSet/shop/db}
spec:
  selector: {matchLabels: {app: db}}
  volumeClaimTemplates: [{metadata: {name: data}}]
`, wellknown.LabelManagedBy, wellknown.AnnotationTemplateUID))
		if change != nil {
			change(made)
		}
		return made
	}
	claim := func(name string, change func(*unstructured.Unstructured)) *unstructured.Unstructured {
		made := fake.Manifest(t, `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: shop, name: `+name+`, labels: {app: db, tier: back}}}`)
		if change != nil {
			change(made)
		}
		return made
	}
	const name = "data-db-0"
	cases := map[string]struct {
		reason   string
		set      *unstructured.Unstructured // in the member
		claim    *unstructured.Unstructured
		released bool // the set is not the fleet's any more
		want     bool
	}{
		"Fleets":  {reason: "The fleet's set claims it.", set: set(nil), claim: claim(name, nil), want: true},
		"Refused": {reason: "The member has a set of its own, and refused the fleet's.", set: set(func(s *unstructured.Unstructured) { s.SetLabels(nil); s.SetAnnotations(nil) }), claim: claim(name, nil)},
		"Others":  {reason: "The set is another fleet's.", set: set(func(s *unstructured.Unstructured) { s.SetLabels(map[string]string{wellknown.LabelManagedBy: "theirs"}) }), claim: claim(name, nil)},
		"Earlier": {reason: "The set is that of another template.", set: set(func(s *unstructured.Unstructured) {
			s.SetAnnotations(map[string]string{wellknown.AnnotationTemplateUID: "old"})
		}), claim: claim(name, nil)},
		"Left":      {reason: "The set left its claims behind: they hold data.", claim: claim(name, nil)},
		"Released":  {reason: "The set was released after the claim was seen.", set: set(nil), claim: claim(name, nil), released: true},
		"OtherName": {reason: "No set of the fleet claims it: it is postgres-db's.", set: set(nil), claim: claim("data-postgres-db-0", nil)},
		"OtherTemplate": {
			reason: "The set has no such claim template.", set: set(nil), claim: claim("backup-db-0", nil),
		},
		"Unselected": {reason: "A claim has what its set selects by.", set: set(nil), claim: claim(name, func(c *unstructured.Unstructured) { c.SetLabels(map[string]string{"app": "other"}) })},
		"OtherOwner": {
			reason: "Another set owned it.", set: set(nil), claim: claim(name, func(c *unstructured.Unstructured) {
				_ = unstructured.SetNestedSlice(c.Object, []any{map[string]any{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "gone"}}, "metadata", "ownerReferences")
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			templates := testTemplates{"apps/StatefulSet/shop/db": true}
			c := newChanging(t, Claims(templates))
			if tc.set != nil {
				c.Put(t, tc.set)
			}
			c.show(t, tc.claim)
			if tc.released {
				delete(templates, "apps/StatefulSet/shop/db")
			}
			c.check(t, tc.reason, "PersistentVolumeClaim", tc.claim.GetName(), &core.PersistentVolumeClaim{}, func(object runtime.Object) {
				object.(*core.PersistentVolumeClaim).Labels = withLabel(object.(*core.PersistentVolumeClaim).Labels, "by", "anna")
			}, tc.want)
		})
	}
}

// TestJobsChanged changes Jobs of members only where the fleet's CronJob made them.
func TestJobsChanged(t *testing.T) {
	cases := map[string]struct {
		reason  string
		labels  map[string]string // of the CronJob in the member
		another bool              // the Job is of a CronJob that had the name before
		gone    bool              // the member has no CronJob
		want    bool
	}{
		"Fleets":  {reason: "The fleet's CronJob made it.", labels: map[string]string{wellknown.LabelManagedBy: "ours"}, want: true},
		"Refused": {reason: "The member has a CronJob of its own, and refused the fleet's."},
		"Others":  {reason: "The CronJob is another fleet's.", labels: map[string]string{wellknown.LabelManagedBy: "theirs"}},
		"Before":  {reason: "A CronJob from before made it.", labels: map[string]string{wellknown.LabelManagedBy: "ours"}, another: true},
		"Gone":    {reason: "The CronJob is gone, and its Job stayed.", labels: map[string]string{wellknown.LabelManagedBy: "ours"}, gone: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newChanging(t, Jobs(testTemplates{"batch/CronJob/shop/nightly": true}))
			cronJob := fake.Manifest(t, `{apiVersion: batch/v1, kind: CronJob, metadata: {namespace: shop, name: nightly}, spec: {schedule: "@daily"}}`)
			cronJob.SetAnnotations(map[string]string{wellknown.AnnotationTemplateUID: "batch/CronJob/shop/nightly"})
			cronJob.SetLabels(maps.Clone(tc.labels))
			uid := c.Put(t, cronJob).GetUID()
			if tc.another {
				uid = types.UID("before")
			}
			c.show(t, fake.Manifest(t, fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata:
  namespace: shop
  name: nightly-29031
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: nightly, uid: %s, controller: true}]
`, uid)))
			if tc.gone {
				c.Remove(t, "CronJob", "shop", "nightly")
			}
			c.check(t, tc.reason, "Job", "nightly-29031", &batch.Job{}, func(object runtime.Object) {
				object.(*batch.Job).Labels = withLabel(object.(*batch.Job).Labels, "by", "anna")
			}, tc.want)
		})
	}
}

// TestChangedAnother finds another object under the name in the member.
func TestChangedAnother(t *testing.T) {
	c := newChanging(t, Claims(testTemplates{"apps/StatefulSet/shop/db": true}))
	claim := fake.Manifest(t, `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: shop, name: data-db-0}}`)
	c.show(t, claim)
	c.Remove(t, "PersistentVolumeClaim", "shop", "data-db-0")
	ctx := as("anna", "shop", "delete", "")
	err := c.writer.delete(ctx, "shop/data-db-0", &core.PersistentVolumeClaim{}, nil, rest.ValidateAllObjectFunc)
	if !storage.IsNotFound(err) {
		t.Errorf("delete what is gone in the member: want it not found, got %v", err)
	}
	c.Put(t, claim)
	err = c.writer.delete(ctx, "shop/data-db-0", &core.PersistentVolumeClaim{}, nil, rest.ValidateAllObjectFunc)
	if !apierrors.IsConflict(err) || c.Get("PersistentVolumeClaim", "shop", "data-db-0") == nil {
		t.Errorf("delete another one of the name: want a conflict, got %v", err)
	}
}
