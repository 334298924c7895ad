// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func TestRecreatePolicy(t *testing.T) {
	cases := map[string]struct {
		reason string
		policy policyv1alpha1.RecreatePolicy
		want   policyv1alpha1.RecreatePolicy
	}{
		"Never":             {"what goes without saying is not stored with each binding", policyv1alpha1.RecreateNever, ""},
		"OnImmutableChange": {"the syncer reads it off the binding", policyv1alpha1.RecreateOnImmutableChange, policyv1alpha1.RecreateOnImmutableChange},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", Generation: 1}}
			p.Spec.RecreatePolicy = tc.policy
			var spec workv1alpha1.BindingSpec
			follow(&spec, p)
			if spec.RecreatePolicy != tc.want {
				t.Errorf("%s: the binding has %q, want %q", tc.reason, spec.RecreatePolicy, tc.want)
			}
			later := p.DeepCopy()
			later.Generation, later.Spec.RecreatePolicy = 2, "Other"
			recall(later, &spec)
			if later.Spec.RecreatePolicy != tc.policy {
				t.Errorf("a policy that is activated lazily is %q for this binding, want %q as before", later.Spec.RecreatePolicy, tc.policy)
			}
		})
	}
}
