// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package strategy

import (
	"errors"
	"fmt"
	"slices"

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
	// ErrOverflowNeedsCapacity refuses overflowAffinities where no division looks
	// at room: nothing would ever overflow.
	ErrOverflowNeedsCapacity = errors.New("placement.clusterAffinities[].overflowAffinities need replicas that are divided by capacity")
	// ErrNoReplicas refuses to divide what has no replicas.
	ErrNoReplicas = errors.New("a resource without spec.replicas cannot be divided")
	// ErrIndexed refuses to divide a Job whose Pods have an index: each member
	// would count from 0.
	ErrIndexed = errors.New("a Job with completionMode Indexed cannot be divided")
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
	// Choice is what Terms, Spread and Weights come from.
	Choice *Choice
	// Terms are tried in order until one has members that can take the template;
	// there is at least one.
	Terms []Term
	// Together and Apart are the groups of templates this one is placed with, and
	// apart from; nil when there is none.
	Together, Apart *Group
	// Tolerations, Spread and Weights are those of the request.
	Tolerations []corev1.Toleration
	Spread      []policyv1alpha1.SpreadConstraint
	Weights     []framework.Weight
	// Hold says why the template is not placed for now, empty when it is. Nothing
	// is wrong then; what is placed stays.
	Hold string
}

// Term is one choice of members.
type Term struct {
	// Name of the term in the policy, empty when it has one only.
	Name string
	// Affinity selects the members; nil selects all.
	Affinity *affinity.Affinity
	// Overflow selects more of them, in order, for what the others have no room
	// for.
	Overflow []*affinity.Affinity
}

// Group is the templates of one namespace with the same value of a label.
type Group struct {
	// Namespace of the templates.
	Namespace string
	// Key of the label.
	Key string
	// Value of the label.
	Value string
}

// Input is what a plan is made from.
type Input struct {
	// Template to place.
	Template *template.Template
	// Kind is what is known about its kind.
	Kind template.Kind
	// Match is the policy that won it.
	Match *policy.Match
	// Choice of the placement of the policy; nil has it prepared.
	Choice *Choice
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
	choice := in.Choice
	if choice == nil {
		var err error
		if choice, err = Prepare(placement); err != nil {
			return nil, err
		}
	}
	plan := newPlan(in.Template, placement, choice)
	var err error
	if placement.Auto == nil {
		err = explicit(in.Template, placement.ReplicaScheduling, plan)
	} else {
		err = automatic(in, facts, plan)
	}
	if placement.Gang != nil && in.Template.Workload != nil {
		allOrNone(plan)
	}
	return plan, err
}

// allOrNone has nothing wait in members.
func allOrNone(plan *Plan) {
	plan.Gang = true
	if plan.Division == framework.DivideByCapacityOrBeyond {
		plan.Division = framework.DivideByCapacity
	}
}

// newPlan reads the parts of a placement that mean the same with and without auto.
func newPlan(t *template.Template, from *policyv1alpha1.Placement, choice *Choice) *Plan {
	plan := &Plan{Placement: from, Choice: choice, Terms: choice.terms, Tolerations: choice.tolerations, Spread: choice.spread}
	if groups := from.WorkloadAffinity; groups != nil && t.Workload != nil {
		plan.Together, plan.Apart = groupOf(t, groups.Affinity), groupOf(t, groups.AntiAffinity)
	}
	return plan
}

// groupOf returns the group the template is in, nil when it lacks the label.
func groupOf(t *template.Template, term *policyv1alpha1.WorkloadAffinityTerm) *Group {
	if term == nil {
		return nil
	}
	value, ok := t.Labels[term.GroupByLabelKey]
	if !ok {
		return nil
	}
	return &Group{Namespace: t.Namespace, Key: term.GroupByLabelKey, Value: value}
}

// explicit completes the plan with the division a policy asks for. Kinds without
// replicas are always duplicated.
func explicit(t *template.Template, scheduling *policyv1alpha1.ReplicaSchedulingStrategy, plan *Plan) error {
	duplicate(plan)
	divides := scheduling != nil && scheduling.ReplicaSchedulingType != policyv1alpha1.Duplicated
	switch {
	case t.Workload != nil && len(t.Workload.Components) > 0:
		if divides {
			single(t, plan)
			// They cannot be divided; one member is all there is to spread over.
			plan.Spread = nil
		}
		return nil
	case t.Workload == nil || !t.Workload.Replicated && !t.IsJob():
		// Where some of it may overflow to, all of it goes.
		return nil
	case !divides:
		return refuseOverflow(plan)
	case !t.Workload.Divisible:
		return ErrIndexed
	}
	// What a Job has to complete cannot be divided anew.
	plan.Once = t.IsJob()
	preference := scheduling.WeightPreference
	switch {
	case scheduling.ReplicaDivisionPreference == policyv1alpha1.Aggregated:
		plan.Division = framework.DivideAggregated
	case preference != nil && preference.DynamicWeight == policyv1alpha1.DynamicWeightByAvailableReplicas:
		plan.Division = framework.DivideByCapacity
	default:
		plan.Division = framework.DivideByWeight
		plan.Weights = plan.Choice.weights
		return refuseOverflow(plan)
	}
	return nil
}

func refuseOverflow(plan *Plan) error {
	if slices.ContainsFunc(plan.Terms, func(term Term) bool { return len(term.Overflow) > 0 }) {
		return ErrOverflowNeedsCapacity
	}
	return nil
}

// automatic completes the plan by the kind of the template.
func automatic(in Input, facts Facts, plan *Plan) error {
	placement, clusters := hintsFor(in)
	if clusters != "" {
		narrowed, err := plan.Choice.narrow(clusters)
		if err != nil {
			return err
		}
		plan.Choice, plan.Terms = narrowed, narrowed.terms
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
		single(in.Template, plan)
	case wellknown.PlacementDivided:
		return divided(in.Template, plan)
	default:
		return fmt.Errorf("read annotation %s: %q is none of auto, duplicated, divided and single", wellknown.AnnotationPlacement, placement)
	}
	return nil
}

// hintsFor returns the hints of the template, else of its namespace. How a
// namespace wants its workloads placed says nothing about its configuration,
// which follows them; that they are to be divided nothing about those without
// replicas.
func hintsFor(in Input) (placement, clusters string) {
	workload := in.Template.Workload
	placement, ok := in.Template.Annotations[wellknown.AnnotationPlacement]
	if !ok && workload != nil {
		placement = in.NamespaceHints[wellknown.AnnotationPlacement]
		if placement == wellknown.PlacementDivided && !workload.Replicated {
			placement = wellknown.PlacementAuto
		}
	}
	clusters, ok = in.Template.Annotations[wellknown.AnnotationClusters]
	if !ok {
		clusters = in.NamespaceHints[wellknown.AnnotationClusters]
	}
	return placement, clusters
}

func byKind(in Input, facts Facts, plan *Plan) {
	t := in.Template
	if t.Workload != nil && len(t.Workload.Components) > 0 && in.Kind.Auto != template.AutoOnce {
		single(t, plan)
		return
	}
	auto := in.Kind.Auto
	if in.Kind.Runs && t.Workload == nil {
		// A custom resource of which nothing says, against its kind, that it runs Pods.
		auto = template.AutoFootprintOrEverywhere
	}
	switch auto {
	case template.AutoDivided:
		if len(t.Workload.Claims) > 0 {
			single(t, plan)
			return
		}
		divideByRoom(plan)
	case template.AutoSingle:
		single(t, plan)
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
	if t.Workload == nil || !t.Workload.Replicated {
		return ErrNoReplicas
	}
	divideByRoom(plan)
	return nil
}

func single(t *template.Template, plan *Plan) {
	plan.Pick = framework.PickOne
	plan.Division = framework.DivideNothing
	if t.Workload != nil && t.Workload.Replicated && len(t.Workload.Components) == 0 {
		plan.Division = framework.DivideByCapacityOrBeyond
	}
}

func once(in Input, plan *Plan) {
	single(in.Template, plan)
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
