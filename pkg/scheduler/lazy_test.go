// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// lazy is a policy for Deployments in its n-th state, which takes effect lazily.
func (h *harness) lazy(n int64, change func(*policyv1alpha1.PropagationSpec)) {
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "lazy", UID: "lazy", Generation: n}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
	p.Spec.ActivationPreference = policyv1alpha1.ActivateLazily
	change(&p.Spec)
	h.setPropagation(h.ctx, p)
}

func onlyOn(name string) func(*policyv1alpha1.PropagationSpec) {
	return func(spec *policyv1alpha1.PropagationSpec) {
		affinity := named(name)
		spec.Placement.ClusterAffinity = &affinity
	}
}

func TestLazyActivation(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.lazy(1, onlyOn("m1"))
		web := deployment("web", 2)
		web.Generation = 1
		key := h.create(web)
		h.settle()
		h.want(key, "m1", "A new template follows the policy.")
		h.wantWrites(1, "In one write.")

		h.lazy(2, func(spec *policyv1alpha1.PropagationSpec) {
			onlyOn("m2")(spec)
			spec.PropagateDeps, spec.Suspension = true, &policyv1alpha1.Suspension{}
		})
		h.member("m1", labelled("any", "thing"))
		h.settle()
		h.want(key, "m1", "A changed policy does not take effect by itself.")
		h.wantWrites(0, "Nothing of it does.")

		late := deployment("late", 2)
		late.Generation = 1
		h.settle()
		h.want(h.create(late), "none", "It waits to be decided about.")
		h.settle()
		h.want(template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "late"}, "m2", "A template that comes later follows the policy as it is.")

		status := deployment("web", 2)
		status.Generation = 1
		h.create(status)
		h.settle()
		h.want(key, "m1", "A changed status is no change.")

		changed := deployment("web", 2)
		changed.Generation = 2
		changed.Spec.Template.Spec.Containers[0].Image = "nginx:2"
		h.create(changed)
		h.settle()
		h.want(key, "m2 !m1", "With the next change of the template it does.")
		if h.changes.has(key, h.fleet.Get(key).UID) {
			t.Error("the change is not forgotten")
		}
	})
}

func TestDependentOverrides(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		p := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "mine", UID: "mine"}}
		p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
		p.Spec.DependentOverrides = []string{"registry"}
		h.setPropagation(h.ctx, p)
		web := h.create(deployment("web", 2))
		h.settle()
		h.want(web, "", "It waits for the override policy.")
		want := `override policy "registry", which the policy depends on, does not exist`
		if diff := cmp.Diff(want, h.scheduled(web)); diff != "" {
			t.Errorf("message: -want, +got:\n%s", diff)
		}
		h.setOverride(h.ctx, &policyv1alpha1.ClusterOverridePolicy{ObjectMeta: metav1.ObjectMeta{Name: "registry"}})
		h.settle()
		h.want(web, "", "One of another scope is another.")
		other := policyv1alpha1.OverrideSpec{ResourceSelectors: []policyv1alpha1.ResourceSelector{{APIVersion: "v1", Kind: "Pod"}}}
		h.setOverride(h.ctx, &policyv1alpha1.OverridePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "registry"}, Spec: other})
		h.settle()
		h.want(web, "m1", "It exists.")
	})
}

// scheduled is the message of the condition of a binding.
func (h *harness) scheduled(key template.Key) string {
	h.t.Helper()
	condition := meta.FindStatusCondition(h.store.of(key).GetStatus().Conditions, workv1alpha1.ConditionScheduled)
	if condition == nil {
		h.t.Fatalf("%s has no condition", key)
	}
	return condition.Message
}

func TestPolicyIsDeleted(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.on("m1")
		web := h.create(deployment("web", 2))
		h.settle()
		h.store.takeWrites()

		h.removePropagation(policy.Ref{Name: "mine"})
		h.settle()
		h.want(web, "m1", "A template whose policy is gone stays.")
		if diff := cmp.Diff(staysMessage, h.scheduled(web)); diff != "" {
			t.Errorf("message: -want, +got:\n%s", diff)
		}
		h.wantWrites(1, "It says so once.")
		h.create(deployment("web", 5))
		h.settle()
		h.want(web, "m1", "Whatever becomes of it.")
		h.wantWrites(0, "Without saying so again.")

		h.on("m1")
		h.settle()
		if diff := cmp.Diff("members have been chosen", h.scheduled(web)); diff != "" {
			t.Errorf("message: -want, +got:\n%s", diff)
		}
		h.on("m2")
		h.settle()
		h.removePropagation(policy.Ref{Name: "mine"})
		h.clusterPolicy("next", "apps/v1", "Deployment", policyv1alpha1.Placement{})
		h.settle()
		h.want(web, "m1 m2", "Or it falls to the next policy that matches.")
	})
}
