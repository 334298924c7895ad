// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package strategy

import (
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	v1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/cluster/place"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

// Choice is the part of a placement that says which members are chosen, prepared
// for matching once for all templates that follow it. It never changes and is safe
// for concurrent use.
type Choice struct {
	terms       []Term
	weights     []framework.Weight
	spread      []policyv1alpha1.SpreadConstraint
	tolerations []corev1.Toleration

	mu       sync.Mutex
	narrowed map[string]*Choice // by the hint fleet.dev/clusters
}

// maxNarrowed bounds how many hints are remembered with a Choice. What goes beyond
// is prepared each time.
const maxNarrowed = 256

// Prepare returns the Choice of a placement. It fails on what validation of the API
// refuses.
func Prepare(from *policyv1alpha1.Placement) (*Choice, error) {
	choice := &Choice{spread: from.SpreadConstraints, tolerations: from.ClusterTolerations}
	var err error
	if choice.terms, err = termsOf(from); err != nil {
		return nil, err
	}
	if scheduling := from.ReplicaScheduling; scheduling != nil {
		choice.weights, err = weightsOf(scheduling.WeightPreference)
	}
	return choice, err
}

func termsOf(from *policyv1alpha1.Placement) ([]Term, error) {
	var terms []Term
	for i := range from.ClusterAffinities {
		term, err := newTerm(&from.ClusterAffinities[i])
		if err != nil {
			return nil, fmt.Errorf("read clusterAffinities %q: %w", from.ClusterAffinities[i].AffinityName, err)
		}
		terms = append(terms, term)
	}
	if len(terms) > 0 {
		return terms, nil
	}
	compiled, err := affinity.Compile(from.ClusterAffinity)
	if err != nil {
		return nil, err
	}
	return []Term{{Affinity: compiled}}, nil
}

func newTerm(from *policyv1alpha1.ClusterAffinityTerm) (Term, error) {
	compiled, err := affinity.Compile(&from.ClusterAffinity)
	if err != nil {
		return Term{}, err
	}
	term := Term{Name: from.AffinityName, Affinity: compiled}
	for i := range from.OverflowAffinities {
		overflow, err := affinity.Compile(&from.OverflowAffinities[i])
		if err != nil {
			return Term{}, fmt.Errorf("read overflowAffinities[%d]: %w", i, err)
		}
		term.Overflow = append(term.Overflow, overflow)
	}
	return term, nil
}

func weightsOf(from *policyv1alpha1.ClusterPreferences) ([]framework.Weight, error) {
	if from == nil {
		return nil, nil
	}
	var weights []framework.Weight
	for _, entry := range from.StaticWeightList {
		compiled, err := affinity.Compile(&entry.TargetCluster)
		if err != nil {
			return nil, fmt.Errorf("read staticWeightList: %w", err)
		}
		weights = append(weights, framework.Weight{Affinity: compiled, Weight: entry.Weight})
	}
	return weights, nil
}

// narrow returns the Choice of those members that a hint selects as well.
func (c *Choice) narrow(clusters string) (*Choice, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.narrowed[clusters]; ok {
		return known, nil
	}
	selected, err := affinity.ForLabels(clusters)
	if err != nil {
		return nil, fmt.Errorf("read annotation %s: %w", wellknown.AnnotationClusters, err)
	}
	narrowed := &Choice{weights: c.weights, spread: c.spread, tolerations: c.tolerations}
	for _, term := range c.terms {
		narrowed.terms = append(narrowed.terms, term.and(selected))
	}
	if c.narrowed == nil {
		c.narrowed = map[string]*Choice{}
	}
	if len(c.narrowed) < maxNarrowed {
		c.narrowed[clusters] = narrowed
	}
	return narrowed, nil
}

// and narrows a term.
func (t Term) and(by *affinity.Affinity) Term {
	narrowed := Term{Name: t.Name, Affinity: t.Affinity.And(by)}
	for _, overflow := range t.Overflow {
		narrowed.Overflow = append(narrowed.Overflow, overflow.And(by))
	}
	return narrowed
}

// tier is what framework.Request.Tier is for the term.
func (t Term) tier(member *framework.Member) int {
	request := framework.Request{Affinity: t.Affinity, Overflow: t.Overflow}
	return request.Tier(member)
}

// Selective reports whether what a member is like makes a difference.
func (c *Choice) Selective() bool {
	narrows := func(term Term) bool { return term.Affinity != nil }
	return len(c.weights) > 0 || len(c.spread) > 0 || slices.ContainsFunc(c.terms, narrows)
}

// Concerned reports whether what happened to a member may change a decision by this
// choice: it is selected, and, where that can be told, treated otherwise than
// before.
func (c *Choice) Concerned(event framework.Event, change framework.Change) bool {
	before, after := change.Before, change.After
	switch {
	case before == nil:
		return c.selects(after)
	case after == nil:
		return c.selects(before)
	case event == framework.MemberSelection:
		return c.tellsApart(before, after)
	case event == framework.MemberTaints:
		return c.selects(after) && c.relieved(before.Cluster.Spec.Taints, after.Cluster.Spec.Taints)
	default:
		return c.selects(after) || c.selects(before)
	}
}

func (c *Choice) selects(member *framework.Member) bool {
	return slices.ContainsFunc(c.terms, func(term Term) bool { return term.tier(member) != framework.Outside })
}

// tellsApart reports whether a member that changed is selected, weighed or grouped
// otherwise.
func (c *Choice) tellsApart(before, after *framework.Member) bool {
	selected := false
	for _, term := range c.terms {
		was, is := term.tier(before), term.tier(after)
		if was != is {
			return true
		}
		selected = selected || is != framework.Outside
	}
	if !selected {
		return false
	}
	weighing := framework.Request{Weights: c.weights}
	return weighing.WeightOf(before) != weighing.WeightOf(after) ||
		slices.ContainsFunc(c.spread, func(constraint policyv1alpha1.SpreadConstraint) bool {
			return regroups(constraint, before.Cluster, after.Cluster)
		})
}

// regroups reports whether a member may be in another group than before.
func regroups(constraint policyv1alpha1.SpreadConstraint, before, after *clusterv1alpha1.Cluster) bool {
	if key := constraint.SpreadByLabel; key != "" {
		was, had := before.Labels[key]
		is, has := after.Labels[key]
		return was != is || had != has
	}
	return !place.Of(before).Equal(place.Of(after))
}

// relieved reports whether a taint is gone that is not tolerated.
func (c *Choice) relieved(before, after []corev1.Taint) bool {
	return slices.ContainsFunc(before, func(taint corev1.Taint) bool {
		same := func(other corev1.Taint) bool { return other.MatchTaint(&taint) && other.Value == taint.Value }
		return !slices.ContainsFunc(after, same) && !v1helper.TolerationsTolerateTaint(klog.Logger{}, c.tolerations, &taint, true)
	})
}
