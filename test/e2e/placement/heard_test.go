// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
)

func isPolicy(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == policyv1alpha1.GroupName
}

// awaitHeard waits until the scheduler knows policies. For that it stores more of
// the same kinds, of which it hears later, and an object that goes nowhere but tells by
// its binding that they are known: a policy that depends on an override. It takes that
// object from the policies of the story, should one of those be heard of before.
func (s *story) awaitHeard(t *testing.T, policies []*unstructured.Unstructured) {
	t.Helper()
	wide, own := false, false
	for _, p := range policies {
		if strings.HasPrefix(p.GetKind(), "Cluster") {
			wide = true
		} else {
			own = true
		}
	}
	if own {
		s.awaitProbe(t, policy, override)
	}
	if wide {
		s.awaitProbe(t, clusterPolicy, clusterOverride)
	}
}

func (s *story) awaitProbe(t *testing.T, policyOf, overrideOf func(name, spec string) object) {
	t.Helper()
	s.probes++
	name := fmt.Sprintf("heard-%d", s.probes)
	about := fmt.Sprintf("resourceSelectors: [{apiVersion: v1, kind: ConfigMap, name: %s, namespace: $NS}], ", name)
	known := overrideOf(name, about+"overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {heard: 'yes'}}]}}]")
	probes := []object{
		known, policyOf(name, about+fmt.Sprintf("dependentOverrides: [%s], priority: 1000, preemption: Always, %s", known.in(s).GetName(), to("nowhere"))), configMap(name),
	}
	for _, o := range probes {
		if err := s.apply(t.Context(), o.in(s)); err != nil {
			t.Fatal(err)
		}
	}
	refused := scheduled("configmap/"+name, "False NoClusterFit", "")
	eventually(t, patience, "the scheduler to hear of policies", func(ctx context.Context) error { return refused(ctx, s) })
}
