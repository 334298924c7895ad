// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// resolveOverrides returns the rules that apply to the template on the members that
// have its object by a spec, which are those decided upon, those that are evicted, and
// those of its dependents; each with those members, in the order they are applied.
func (s *Scheduler) resolveOverrides(t *template.Template, on workv1alpha1.BindingSpec) ([]workv1alpha1.ResolvedOverride, error) {
	policies := s.overrides.For(t)
	if len(policies) == 0 {
		return nil, nil
	}
	clusters := sets.List(on.Holders())
	var out []workv1alpha1.ResolvedOverride
	for _, o := range policies {
		targets, err := s.targets.of(o)
		if err != nil {
			return nil, fmt.Errorf("resolve override policy %q: %w", o.GetName(), err)
		}
		for i := range o.GetSpec().OverrideRules {
			rule := &o.GetSpec().OverrideRules[i]
			selected := s.selected(targets[i], clusters)
			if len(selected) == 0 {
				continue
			}
			resolved := workv1alpha1.ResolvedOverride{
				Policy: workv1alpha1.OverrideReference{
					Namespace:  o.GetNamespace(),
					Name:       o.GetName(),
					Generation: o.GetGeneration(),
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

// targetsOf prepares the targets of the rules of an override policy.
func targetsOf(o policyv1alpha1.Override) ([]*affinity.Affinity, error) {
	rules := o.GetSpec().OverrideRules
	targets := make([]*affinity.Affinity, 0, len(rules))
	for i := range rules {
		target, err := affinity.Compile(rules[i].TargetCluster)
		if err != nil {
			return nil, err
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// selected returns the members of a decision that a rule is for. A member that is
// not known is left to the next decision.
func (s *Scheduler) selected(target *affinity.Affinity, clusters []string) []*framework.Member {
	members := s.cache.Members()
	var selected []*framework.Member
	for _, cluster := range clusters {
		member := find(members, cluster)
		if member != nil && member.Selected(target) {
			selected = append(selected, member)
		}
	}
	return selected
}

// overridden returns the templates on a member whose overrides a change of the
// member concerns: a rule is for the member that was not, or was and is not any
// more, or asks for what changed.
func (s *Scheduler) overridden(change framework.Change) []template.Key {
	concerned := s.overridesFor(change)
	if concerned.Len() == 0 {
		return nil
	}
	var keys []template.Key
	for _, key := range s.cache.PlacedOn(change.After.Name()) {
		t := s.templates.Get(key)
		if t != nil && slices.ContainsFunc(s.overrides.For(t), func(o policyv1alpha1.Override) bool { return concerned.Has(policy.RefOf(o)) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// overridesFor returns the override policies a change of a member concerns.
func (s *Scheduler) overridesFor(change framework.Change) sets.Set[policy.Ref] {
	before, after := change.Before.Cluster, change.After.Cluster
	otherFacts := !equality.Semantic.DeepEqual(expression.FactsOf(before), expression.FactsOf(after))
	concerned := sets.New[policy.Ref]()
	s.targets.each(func(o policyv1alpha1.Override, targets []*affinity.Affinity, _ error) {
		for i, target := range targets {
			was, is := change.Before.Selected(target), change.After.Selected(target)
			asks := is && otherFacts && o.GetSpec().OverrideRules[i].Overriders.Expression != ""
			if was != is || asks {
				concerned.Insert(policy.RefOf(o))
			}
		}
	})
	return concerned
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
