// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// holders returns the members that have the template's object after a decision:
// those decided upon, those that are evicted, and those of its dependents.
func holders(subject *subject, clusters []workv1alpha1.TargetCluster, tasks []workv1alpha1.GracefulEvictionTask) []string {
	spec := workv1alpha1.BindingSpec{Clusters: clusters, GracefulEvictionTasks: tasks, RequiredBy: subject.requiredBy}
	return sets.List(spec.Holders())
}

// resolveOverrides returns the rules that apply to the template on the members that
// have it, each with those members, in the order they are applied.
func (s *Scheduler) resolveOverrides(t *template.Template, clusters []string) ([]workv1alpha1.ResolvedOverride, error) {
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
			resolved := workv1alpha1.ResolvedOverride{
				Policy: workv1alpha1.OverrideReference{
					Namespace:  policy.GetNamespace(),
					Name:       policy.GetName(),
					Generation: policy.GetGeneration(),
				},
				Clusters:   clusterNamesOf(selected),
				Overriders: rule.Overriders,
			}
			if rule.Overriders.Expression != "" {
				resolved.Facts = factsOf(selected)
			}
			out = append(out, resolved)
		}
	}
	return out, nil
}

// selected returns the members of a decision that a rule is for. A member that is
// not known is left to the next decision.
func (s *Scheduler) selected(rule *policyv1alpha1.RuleWithCluster, clusters []string) ([]*framework.Member, error) {
	target, err := affinity.Compile(rule.TargetCluster)
	if err != nil {
		return nil, err
	}
	members := s.cache.Members()
	var selected []*framework.Member
	for _, cluster := range clusters {
		member := find(members, cluster)
		if member != nil && target.Matches(member.Cluster) {
			selected = append(selected, member)
		}
	}
	return selected, nil
}

func clusterNamesOf(members []*framework.Member) []string {
	names := make([]string, 0, len(members))
	for _, member := range members {
		names = append(names, member.Name())
	}
	return names
}

// factsOf are what an expression may ask about the members. They are recorded, so
// that rendering depends on the binding alone.
func factsOf(members []*framework.Member) []workv1alpha1.ClusterFacts {
	facts := make([]workv1alpha1.ClusterFacts, 0, len(members))
	for _, member := range members {
		facts = append(facts, expression.FactsOf(member.Cluster))
	}
	return facts
}
