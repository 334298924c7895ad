// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/source"
)

// stateOf is the state of a fleet with one Deployment.
func (h *harness) stateOf(object *appsv1.Deployment, policies ...policyv1alpha1.Propagation) State {
	h.t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		h.t.Fatal(err)
	}
	version := appsv1.SchemeGroupVersion.WithKind("Deployment")
	kind := source.KindOf(version, appsv1.SchemeGroupVersion.WithResource("deployments"), true)
	read, err := source.Read(kind, &unstructured.Unstructured{Object: fields})
	if err != nil {
		h.t.Fatal(err)
	}
	state := State{Template: read, Kind: kind, Propagations: policies}
	for _, cluster := range h.clusters.clusters {
		state.Clusters = append(state.Clusters, cluster)
	}
	if binding := h.store.of(read.Key()); binding != nil {
		state.Bindings = append(state.Bindings, binding)
	}
	return state
}

func TestExplain(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1", pods(30))
		h.member("m2", pods(10))
		h.member("m3", tainted("down"))
		all := func(name string, priority int32, change func(*policyv1alpha1.PropagationSpec)) policyv1alpha1.Propagation {
			p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
			p.Spec.Priority = priority
			p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
			change(&p.Spec)
			return p
		}
		divide := func(spec *policyv1alpha1.PropagationSpec) { spec.Placement = byRoom() }
		web := deployment("web", 8)
		web.UID = "web"
		got, err := Explain(t.Context(), h.stateOf(web, all("low", 1, func(*policyv1alpha1.PropagationSpec) {}), all("high", 2, divide)))
		if err != nil {
			t.Fatal(err)
		}
		want := &Explanation{
			Policies: []PolicyVerdict{{Name: "high", Priority: 2, By: "kind", Follows: true}, {Name: "low", Priority: 1, By: "kind"}},
			Members: []MemberVerdict{
				{Name: "m1", Considered: true, Score: got.Members[0].Score, Room: 30, After: 6, Chosen: true},
				{Name: "m2", Considered: true, Score: got.Members[1].Score, Room: 10, After: 2, Chosen: true},
				{Name: "m3", Plugin: "TaintToleration", Refusal: got.Members[2].Refusal},
			},
			Clusters: []workv1alpha1.TargetCluster{{Name: "m1", Replicas: 6}, {Name: "m2", Replicas: 2}},
			Result:   "placed",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Explain(...): -want, +got:\n%s", diff)
		}
		if got.Members[0].Score <= got.Members[1].Score || got.Members[2].Refusal == "" {
			t.Errorf("the roomier member scores higher, a refusal has words: %+v", got.Members)
		}

		web.Spec.Replicas = new(int32(90))
		got, err = Explain(t.Context(), h.stateOf(web, all("high", 2, divide)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("2/3 clusters are available: 1 had untolerated taint {down: }, not enough capacity for 90 more replicas", got.Why); diff != "" {
			t.Errorf("why: -want, +got:\n%s", diff)
		}
		got, err = Explain(t.Context(), h.stateOf(web))
		if err != nil || got.Result != "held" || got.Why != "no policy matches" {
			t.Errorf("without a policy: %+v, %v", got, err)
		}
		if len(h.clusters.clusters) != 3 || h.store.of(h.stateOf(web).Template.Key()) != nil {
			t.Error("explaining wrote something")
		}
	})
}
