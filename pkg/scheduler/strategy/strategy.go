// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package strategy

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Errors for what a policy or a hint asks for and this scheduler does not do.
var (
	// ErrWorkloadAffinity refuses placement.workloadAffinity.
	ErrWorkloadAffinity = errors.New("placement.workloadAffinity is not evaluated by this scheduler")
	// ErrOverflowAffinities refuses placement.clusterAffinities[].overflowAffinities.
	ErrOverflowAffinities = errors.New("placement.clusterAffinities[].overflowAffinities are not evaluated by this scheduler")
	// ErrDivideStatefulSet refuses to divide a StatefulSet: without disjoint
	// ordinals its Pods would have the same names.
	ErrDivideStatefulSet = errors.New("a StatefulSet is not divided by this scheduler")
	// ErrNoReplicas refuses to divide what has no replicas.
	ErrNoReplicas = errors.New("a resource without spec.replicas cannot be divided")
)

// Facts are where things are, as far as the strategy depends on it.
type Facts interface {
	// Footprint returns the members where the namespace has workloads.
	Footprint(namespace string) sets.Set[string]
	// Landed returns the members where the namespace has anything.
	Landed(namespace string) sets.Set[string]
	// Mounting returns the members of the Pods that mount the claim.
	Mounting(claim template.Key) sets.Set[string]
}

// Plan is how a template is to be placed.
type Plan struct {
	// Strategy to place by.
	framework.Strategy
	// Placement is what the binding records: that of the policy, or what a hint
	// made of it.
	Placement *policyv1alpha1.Placement
	// Affinities are tried in order until one leaves a member; there is at least
	// one, which may be nil.
	Affinities []*affinity.Affinity
	// Tolerations, Spread and Weights are those of the request.
	Tolerations []corev1.Toleration
	Spread      []policyv1alpha1.SpreadConstraint
	Weights     []framework.Weight
	// Hold says why the template is not placed for now, empty when it is. Nothing
	// is wrong then; what is placed stays.
	Hold string
}

// Input is what a plan is made from.
type Input struct {
	// Template to place.
	Template *template.Template
	// Kind is what is known about its kind.
	Kind template.Kind
	// Match is the policy that won it.
	Match *policy.Match
	// NamespaceHints are the annotations of its namespace.
	NamespaceHints map[string]string
	// Placed are the members that have it.
	Placed sets.Set[string]
}

// For returns the plan for a template.
func For(in Input, facts Facts) (*Plan, error) {
	if in.Template.NamedOnly || in.Kind.Auto == template.AutoStay {
		if !in.Match.By.NamesKind() {
			return &Plan{Hold: "no policy names its kind"}, nil
		}
	}
	placement := &in.Match.Policy.GetSpec().Placement
	plan, err := fromPlacement(placement)
	if err != nil {
		return nil, err
	}
	if placement.Auto == nil {
		return plan, explicit(in.Template, placement.ReplicaScheduling, plan)
	}
	return plan, automatic(in, facts, plan)
}

// fromPlacement reads the parts of a placement that mean the same with and without
// auto.
func fromPlacement(from *policyv1alpha1.Placement) (*Plan, error) {
	if from.WorkloadAffinity != nil {
		return nil, ErrWorkloadAffinity
	}
	plan := &Plan{Placement: from, Tolerations: from.ClusterTolerations, Spread: from.SpreadConstraints}
	for _, term := range from.ClusterAffinities {
		if len(term.OverflowAffinities) > 0 {
			return nil, ErrOverflowAffinities
		}
		compiled, err := affinity.Compile(&term.ClusterAffinity)
		if err != nil {
			return nil, fmt.Errorf("read clusterAffinities %q: %w", term.AffinityName, err)
		}
		plan.Affinities = append(plan.Affinities, compiled)
	}
	if len(plan.Affinities) > 0 {
		return plan, nil
	}
	compiled, err := affinity.Compile(from.ClusterAffinity)
	if err != nil {
		return nil, err
	}
	plan.Affinities = []*affinity.Affinity{compiled}
	return plan, nil
}

// explicit completes the plan with the division a policy asks for. Kinds without
// replicas are always duplicated.
func explicit(t *template.Template, scheduling *policyv1alpha1.ReplicaSchedulingStrategy, plan *Plan) error {
	duplicate(plan)
	replicated := t.Workload != nil && t.Workload.Replicated
	if !replicated || scheduling == nil || scheduling.ReplicaSchedulingType == policyv1alpha1.Duplicated {
		return nil
	}
	if t.Kind.Kind == "StatefulSet" {
		return ErrDivideStatefulSet
	}
	preference := scheduling.WeightPreference
	switch {
	case scheduling.ReplicaDivisionPreference == policyv1alpha1.Aggregated:
		plan.Division = framework.DivideAggregated
	case preference != nil && preference.DynamicWeight == policyv1alpha1.DynamicWeightByAvailableReplicas:
		plan.Division = framework.DivideByCapacity
	default:
		plan.Division = framework.DivideByWeight
		return weights(preference, plan)
	}
	return nil
}

func weights(from *policyv1alpha1.ClusterPreferences, plan *Plan) error {
	if from == nil {
		return nil
	}
	for _, entry := range from.StaticWeightList {
		compiled, err := affinity.Compile(&entry.TargetCluster)
		if err != nil {
			return fmt.Errorf("read staticWeightList: %w", err)
		}
		plan.Weights = append(plan.Weights, framework.Weight{Affinity: compiled, Weight: entry.Weight})
	}
	return nil
}

// automatic completes the plan by the kind of the template.
func automatic(in Input, facts Facts, plan *Plan) error {
	placement, clusters := hintsFor(in)
	if clusters != "" {
		selected, err := affinity.ForLabels(clusters)
		if err != nil {
			return fmt.Errorf("read annotation %s: %w", wellknown.AnnotationClusters, err)
		}
		for i := range plan.Affinities {
			plan.Affinities[i] = plan.Affinities[i].And(selected)
		}
	}
	switch placement {
	case "", wellknown.PlacementAuto:
		byKind(in, facts, plan)
	case wellknown.PlacementDuplicated:
		duplicate(plan)
		plan.Placement = plan.Placement.DeepCopy()
		plan.Placement.Auto = nil
		plan.Placement.ReplicaScheduling = &policyv1alpha1.ReplicaSchedulingStrategy{ReplicaSchedulingType: policyv1alpha1.Duplicated}
	case wellknown.PlacementSingle:
		single(plan)
	case wellknown.PlacementDivided:
		return divided(in.Template, plan)
	default:
		return fmt.Errorf("read annotation %s: %q is none of auto, duplicated, divided and single", wellknown.AnnotationPlacement, placement)
	}
	return nil
}

// hintsFor returns the hints of the template, else of its namespace. How a
// namespace wants its workloads placed says nothing about its configuration,
// which follows them.
func hintsFor(in Input) (placement, clusters string) {
	placement, ok := in.Template.Annotations[wellknown.AnnotationPlacement]
	if !ok && in.Template.Workload != nil {
		placement = in.NamespaceHints[wellknown.AnnotationPlacement]
	}
	clusters, ok = in.Template.Annotations[wellknown.AnnotationClusters]
	if !ok {
		clusters = in.NamespaceHints[wellknown.AnnotationClusters]
	}
	return placement, clusters
}

func byKind(in Input, facts Facts, plan *Plan) {
	t := in.Template
	switch in.Kind.Auto {
	case template.AutoDivided:
		if len(t.Workload.Claims) > 0 {
			single(plan)
			return
		}
		divideByRoom(plan)
	case template.AutoSingle:
		single(plan)
	case template.AutoOnce:
		once(in, plan)
	case template.AutoWithPods:
		follow(in, plan, facts.Mounting(t.Key()), "no pod mounts it")
	case template.AutoNamespace:
		follow(in, plan, facts.Landed(t.Name), "nothing in it is placed")
	case template.AutoFootprint:
		follow(in, plan, facts.Footprint(t.Namespace), "its namespace has no workload")
	case template.AutoFootprintOrEverywhere:
		if footprint := facts.Footprint(t.Namespace); len(footprint) > 0 {
			follow(in, plan, footprint, "")
			return
		}
		duplicate(plan)
	default:
		everywhereOrFootprint(in, facts, plan)
	}
}

// everywhereOrFootprint is for the kinds that go everywhere, and for those that
// only a policy takes out of the fleet, which then follow their scope.
func everywhereOrFootprint(in Input, facts Facts, plan *Plan) {
	if in.Kind.Auto == template.AutoStay && in.Template.Namespace != "" {
		follow(in, plan, facts.Footprint(in.Template.Namespace), "its namespace has no workload")
		return
	}
	duplicate(plan)
}

// duplicate puts the template on every member, those that join later included.
func duplicate(plan *Plan) {
	plan.Pick = framework.PickAll
	plan.Division = framework.DivideNothing
	plan.Follow = framework.MemberAdded
}

func divideByRoom(plan *Plan) {
	plan.Pick = framework.PickAll
	plan.Division = framework.DivideByCapacityOrBeyond
}

func divided(t *template.Template, plan *Plan) error {
	switch {
	case t.Workload == nil || !t.Workload.Replicated:
		return ErrNoReplicas
	case t.Kind.Kind == "StatefulSet":
		return ErrDivideStatefulSet
	}
	divideByRoom(plan)
	return nil
}

func single(plan *Plan) {
	plan.Pick = framework.PickOne
	plan.Division = framework.DivideByCapacityOrBeyond
}

func once(in Input, plan *Plan) {
	single(plan)
	plan.Once = true
	if in.Template.Workload.Finished {
		plan.Hold = "it ran to its end"
	}
}

// follow puts the template where others are, and leaves it where it is.
func follow(in Input, plan *Plan, members sets.Set[string], hold string) {
	plan.Pick = framework.PickAll
	plan.Division = framework.DivideNothing
	plan.Within = members
	plan.Keep = true
	if len(members) == 0 && len(in.Placed) == 0 {
		plan.Hold = hold
	}
	if plan.Within == nil {
		plan.Within = sets.Set[string]{}
	}
}
