// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/member/fake"
)

const webAutoscaler = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 10
`

// replicas waits until the member's Deployment has so many, and until there is
// nothing left to do.
func (r *rig) replicas(want int64, reason string) {
	r.Helper()
	has := func() error {
		got, _, err := unstructured.NestedInt64(r.member.Get("Deployment", "shop", "web").Object, "spec", "replicas")
		if err != nil || got != want {
			return fmt.Errorf("%s: want %d replicas, got %d, %w", reason, want, got, err)
		}
		return nil
	}
	r.eventually(reason, has)
	r.settle()
	if err := has(); err != nil {
		r.Error(err)
	}
}

// TestAutoscalerSetsReplicas: where an autoscaler was sent, the number of replicas is
// its to say, also after a restart; when it is taken away its number stays until the
// fleet wants another.
func TestAutoscalerSetsReplicas(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	stop := r.start()
	scale := func(n int64) {
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, n, "spec", "replicas") })
	}
	r.want("web", webDeployment)
	r.await("web", "that it is applied", applied)
	scale(5)
	r.replicas(3, "Nobody but the fleet says how many there are.")

	r.want("autoscaler", webAutoscaler)
	r.settle()
	scale(7)
	r.replicas(7, "The autoscaler does.")
	r.countAnew()
	r.want("web", webDeployment, func(w *workv1alpha1.Work) { w.Spec.Template.Generation = 2 })
	r.replicas(7, "A work that wants the same changes nothing.")
	if writes := r.member.Writes(); writes > 0 {
		t.Errorf("want no writes, got %d", writes)
	}

	stop()
	scale(9)
	r.start()
	r.replicas(9, "A syncer that starts knows of the autoscaler before it looks at anything.")

	r.want("autoscaler", webAutoscaler, tombstone)
	r.await("autoscaler", "that it is gone", deleted)
	r.replicas(9, "It is gone; as in one cluster its number stays.")
	r.want("web", strings.Replace(webDeployment, "nginx", "httpd", 1))
	r.await("web", "that it is applied", applied)
	r.replicas(9, "Another image is not another number.")
	r.want("web", strings.Replace(webDeployment, "replicas: 3", "replicas: 4", 1))
	r.replicas(4, "Another number of the fleet's counts.")
	scale(5)
	r.replicas(4, "The number is the fleet's alone again.")
}

// TestSpareReplicas: which number of replicas is left alone, and what the object says
// about it.
func TestSpareReplicas(t *testing.T) {
	const beside = wellknown.AnnotationAutoscaled
	object := func(fleet, template, said string, replicas int64) *unstructured.Unstructured {
		o := fake.Manifest(t, webDeployment)
		o.SetLabels(map[string]string{wellknown.LabelManagedBy: fleet})
		o.SetAnnotations(map[string]string{wellknown.AnnotationTemplateUID: template})
		if said != "" {
			annotate(o, beside, said)
		}
		put(t, o, replicas, "spec", "replicas")
		return o
	}
	// ownedBy has managers own the replicas of an object.
	ownedBy := func(o *unstructured.Unstructured, managers ...metav1.ManagedFieldsEntry) *unstructured.Unstructured {
		for i := range managers {
			managers[i].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)
		}
		o.SetManagedFields(managers)
		return o
	}
	autoscaler := metav1.ManagedFieldsEntry{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "scale"}
	person := metav1.ManagedFieldsEntry{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "scale"}
	ours := metav1.ManagedFieldsEntry{Manager: wellknown.FieldManager, Operation: metav1.ManagedFieldsOperationApply}
	type result struct {
		Replicas int64
		Said     string
		Pinned   bool
	}
	cases := map[string]struct {
		reason     string
		autoscaled bool
		live       *unstructured.Unstructured
		want       result
	}{
		"New":       {reason: "What is created with an autoscaler says so at once.", autoscaled: true, want: result{Replicas: 3, Said: "3"}},
		"Running":   {reason: "The autoscaler's number stays.", autoscaled: true, live: object(testFleet, "uid-1", "", 20), want: result{Replicas: 20, Said: "3", Pinned: true}},
		"Scaled":    {reason: "What the autoscaler owns is left out.", autoscaled: true, live: ownedBy(object(testFleet, "uid-1", "", 20), autoscaler), want: result{Said: "3"}},
		"Shared":    {reason: "What the fleet owns too cannot be left out.", autoscaled: true, live: ownedBy(object(testFleet, "uid-1", "", 20), autoscaler, ours), want: result{Replicas: 20, Said: "3", Pinned: true}},
		"Without":   {reason: "Without an autoscaler the number is the fleet's.", live: object(testFleet, "uid-1", "", 20), want: result{Replicas: 3}},
		"Gone":      {reason: "The autoscaler is gone, its number stays.", live: object(testFleet, "uid-1", "3", 20), want: result{Replicas: 20, Said: "3", Pinned: true}},
		"Changed":   {reason: "The fleet wants another number since.", live: object(testFleet, "uid-1", "2", 20), want: result{Replicas: 3}},
		"Recreated": {reason: "Another template has not had the autoscaler.", live: object(testFleet, "uid-0", "3", 20), want: result{Replicas: 3}},
		"There":     {reason: "An autoscaler that somebody made in the member scales it.", live: ownedBy(object(testFleet, "uid-1", "", 20), autoscaler), want: result{Said: "3"}},
		"Adopted":   {reason: "It scaled what is adopted, too.", live: ownedBy(object("", "", "", 20), autoscaler), want: result{Said: "3"}},
		"Still":     {reason: "Its number stays, whatever it becomes.", live: ownedBy(object(testFleet, "uid-1", "3", 21), autoscaler), want: result{Said: "3"}},
		"Asked":     {reason: "The fleet wants another number; the autoscaler may change it again.", live: ownedBy(object(testFleet, "uid-1", "2", 20), autoscaler), want: result{Replicas: 3}},
		"Person":    {reason: "Who scales in the member by hand is put right.", live: ownedBy(object(testFleet, "uid-1", "", 20), person), want: result{Replicas: 3}},
		"Foreign":   {reason: "A copy that is not the fleet's says nothing.", live: object("", "uid-1", "3", 20), want: result{Replicas: 3}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := &session{fleetID: testFleet, autoscaled: newAutoscaled()}
			if tc.autoscaled {
				s.autoscaled.count[webTarget]++
			}
			var live *observed
			if tc.live != nil {
				var err error
				if live, err = observe(tc.live, store.New(nil).Interpreter()); err != nil {
					t.Fatal(err)
				}
			}
			desired := object(testFleet, "uid-1", "", 3)
			pinned, err := s.spareReplicas(targetOfObject(desired), desired, live)
			if err != nil {
				t.Fatalf("spareReplicas(...): unexpected error: %v", err)
			}
			got := result{Said: desired.GetAnnotations()[beside], Pinned: pinned}
			got.Replicas, _, _ = unstructured.NestedInt64(desired.Object, "spec", "replicas")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nspareReplicas(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestApplyPinned: what is right of one version of an object only is not forced upon
// another.
func TestApplyPinned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	desired := fake.Manifest(t, webDeployment)
	r.member.Put(t, fake.Manifest(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"))
	r.member.Put(t, desired)
	cases := map[string]struct {
		reason string
		pinned bool
		stale  bool
		want   int64
	}{
		"Pinned":  {reason: "The number has changed since it was read.", pinned: true, stale: true, want: 20},
		"Current": {reason: "It has not.", pinned: true, want: 3},
		"Free":    {reason: "The fleet's own number wins.", stale: true, want: 3},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scale := func(n int64) {
				r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, n, "spec", "replicas") })
			}
			scale(5)
			live, err := observe(r.member.Get("Deployment", "shop", "web").DeepCopy(), store.New(nil).Interpreter())
			if err != nil {
				t.Fatal(err)
			}
			if tc.stale {
				scale(20)
			}
			p := &propagation{session: r.session, work: &workv1alpha1.Work{}, target: targetOfObject(desired), pinned: tc.pinned}
			p.record = &record{target: p.target}
			r.eventually("the member to be known", func() error {
				var known bool
				if p.resource, known = r.session.member.APIs().Resource(p.target.kind); !known {
					return fmt.Errorf("it is not known to serve %s", p.target.kind)
				}
				return nil
			})
			o := p.apply(t.Context(), schemaOfApps(t), desired.DeepCopy(), application{uid: live.UID, force: true, live: live})
			if applied := tc.want == 3; o.applied != applied || o.reason == workv1alpha1.AppliedReasonConflict || !applied && o.retry != soon {
				t.Errorf("\n%s\napply(...): want applied %t, and no conflict, got %+v", tc.reason, applied, o)
			}
			got, _, _ := unstructured.NestedInt64(r.member.Get("Deployment", "shop", "web").Object, "spec", "replicas")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nreplicas in the member: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAutoscaled(t *testing.T) {
	work := func(kind, ref string) *workv1alpha1.Work {
		raw := fmt.Sprintf(`{"apiVersion":"autoscaling/v2","kind":%q,"spec":{"scaleTargetRef":%s}}`, kind, ref)
		w := &workv1alpha1.Work{}
		w.Spec.Template = workv1alpha1.TemplateReference{APIVersion: "autoscaling/v2", Kind: kind, Namespace: "shop", Name: "web"}
		w.Spec.Workload.Manifests = append(w.Spec.Workload.Manifests, runtime.RawExtension{Raw: []byte(raw)})
		return w
	}
	const deployment = `{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}`
	set := objectIdentity{kind: schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, key: "shop/db"}
	a := newAutoscaled()
	steps := []struct {
		reason      string
		name        string
		work        *workv1alpha1.Work
		changed     int
		web, others bool
	}{
		{reason: "Another kind scales nothing.", name: "a", work: work("Other", deployment)},
		{reason: "What cannot be read scales nothing.", name: "a", work: work("HorizontalPodAutoscaler", `[]`)},
		{reason: "It scales the Deployment.", name: "a", work: work("HorizontalPodAutoscaler", deployment), changed: 1, web: true},
		{reason: "It does still.", name: "a", work: work("HorizontalPodAutoscaler", deployment), web: true},
		{reason: "A second one does.", name: "b", work: work("HorizontalPodAutoscaler", deployment), changed: 1, web: true},
		{reason: "One does.", name: "a", changed: 1, web: true},
		{
			reason: "It scales another.", name: "b", changed: 2, others: true,
			work: work("HorizontalPodAutoscaler", `{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db"}`),
		},
		{reason: "None does.", name: "b", changed: 1},
	}
	for _, step := range steps {
		if got := a.note(step.name, step.work); len(got) != step.changed {
			t.Errorf("%s: want %d objects concerned, got %v", step.reason, step.changed, got)
		}
		if a.has(webTarget) != step.web || a.has(set) != step.others {
			t.Errorf("%s: want web scaled %v, db scaled %v", step.reason, step.web, step.others)
		}
	}
	if len(a.targets)+len(a.count) > 0 {
		t.Errorf("want nothing kept, got %+v", a)
	}
}
