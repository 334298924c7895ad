// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
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
// its to say, also after a restart, until it is taken away.
func TestAutoscalerSetsReplicas(t *testing.T) {
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
	r.replicas(3, "It is to go.")
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
