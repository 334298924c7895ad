// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// resolveOverrides returns the rules that apply to the template on the members it
// goes to, each with those members, in the order they are applied.
func (s *Scheduler) resolveOverrides(t *template.Template, clusters []workv1alpha1.TargetCluster) ([]workv1alpha1.ResolvedOverride, error) {
	var out []workv1alpha1.ResolvedOverride
	for _, policy := range s.overrides.For(t) {
		for i := range policy.GetSpec().OverrideRules {
			rule := &policy.GetSpec().OverrideRules[i]
			selected, err := s.selected(rule, clusters)
			if err != nil {
				return nil, fmt.Errorf("resolve override policy %q: %w", policy.GetName(), err)
			}
			if len(selected) == 0 {
				continue
			}
			out = append(out, workv1alpha1.ResolvedOverride{
				Policy: workv1alpha1.OverrideReference{
					Namespace:  policy.GetNamespace(),
					Name:       policy.GetName(),
					Generation: policy.GetGeneration(),
				},
				Clusters:   selected,
				Overriders: rule.Overriders,
			})
		}
	}
	return out, nil
}

// selected returns the members of a decision that a rule is for. A member that is
// not known is left to the next decision.
func (s *Scheduler) selected(rule *policyv1alpha1.RuleWithCluster, clusters []workv1alpha1.TargetCluster) ([]string, error) {
	target, err := affinity.Compile(rule.TargetCluster)
	if err != nil {
		return nil, err
	}
	members := s.cache.Members()
	var names []string
	for _, cluster := range clusters {
		member := find(members, cluster.Name)
		if member != nil && target.Matches(member.Cluster) {
			names = append(names, cluster.Name)
		}
	}
	return names, nil
}
