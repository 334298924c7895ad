// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// preserve has a policy for Deployments preserve what it places.
func (h *harness) preserve() {
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "keep", UID: types.UID("keep")}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
	p.Spec.PreserveResourcesOnDeletion = new(true)
	h.setPropagation(h.ctx, p)
}

func TestPreserved(t *testing.T) {
	cases := map[string]struct {
		reason string
		end    func(h *harness, web template.Key)
		want   string
	}{
		"Gone": {
			reason: "The template is deleted: members keep what it made.",
			end:    func(h *harness, web template.Key) { h.delete(web) },
			want:   "~m1 ~m2",
		},
		"BeingDeleted": {
			reason: "It is not gone yet.",
			end: func(h *harness, web template.Key) {
				before := h.fleet.Get(web)
				after := terminating(before, "x")
				h.fleet.set(web, after)
				h.OnTemplate(before, after)
			},
			want: "m1 m2",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			two(t, func(h *harness) {
				h.preserve()
				web := h.create(deployment("web", 6))
				h.settle()
				tc.end(h, web)
				h.settle()
				h.want(web, tc.want, tc.reason)
			})
		})
	}
}

// terminating is a template that is being deleted and waits for the finalizers.
func terminating(t *template.Template, finalizers ...string) *template.Template {
	meta := t.ObjectMeta
	now := metav1.Now()
	meta.DeletionTimestamp, meta.Finalizers = &now, finalizers
	return template.New(t.Kind, &meta, template.Traits{NamedOnly: t.NamedOnly, Workload: t.Workload})
}
