// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/cache"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/framework/parallelize"
	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
	"fleet.dev/fleet/pkg/scheduler/metrics"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/strategy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// subject is the template of one cycle and what is known about it.
type subject struct {
	key        template.Key
	template   *template.Template     // nil when there is none
	kind       source.Kind            // of the template
	binding    workv1alpha1.Binding   // nil when there is none
	match      *policy.Match          // nil when no policy picks it
	profile    *runtime.Framework     // of the policy
	placed     map[string]int32       // members of this very template with their replicas
	missing    []string               // those of placed that do not exist, as far as is known
	demand     *capacity.Demand       // of one of its Pods, nil when it runs none
	components []capacity.Load        // what it runs, when it has several sorts of Pods
	priority   *template.Priority     // nil when its policy asks for none
	loss       *loss                  // to one of higher priority, nil when there is none
	considered []*framework.Candidate // with their room, of the last term tried
	wanted     int32                  // replicas that those are to have together
	stuck      *stuck                 // replicas that find no node, nil when nobody looked
	anew       bool                   // somebody asked to decide regardless of where the replicas are

	requiredBy []workv1alpha1.BindingSnapshot // where others need it
	watch      func([]*framework.Candidate)   // sees the candidates with their scores, nil when nobody asks
}

// scheduleOne decides about the next template. It returns false when there will
// be no more.
func (s *Scheduler) scheduleOne(ctx context.Context) bool {
	key, shutdown := s.queue.Get()
	if shutdown {
		return false
	}
	s.schedule(ctx, key)
	return true
}

// schedule decides about one template.
func (s *Scheduler) schedule(ctx context.Context, key template.Key) {
	// A decision takes milliseconds, and half of one would be a wrong one.
	ctx = klog.NewContext(context.WithoutCancel(ctx), klog.FromContext(ctx).WithValues("template", key))
	start := s.clock.Now()
	s.ahead.begin(key)

	// 1. See what is known about the template.
	s.cache.Release(key)
	subject := s.lookUp(key)

	// 2. Decide.
	decision := s.decide(ctx, subject)
	if !subject.foreign() {
		s.evict(decision)
		s.require(decision)
	}

	// 3. Have the decision count for the next one.
	if err := s.reserve(ctx, decision); err != nil {
		decision = failed(subject, err)
	}
	s.claim(decision)
	metrics.DecisionDuration.Observe(s.clock.Since(start).Seconds())
	metrics.Decisions.WithLabelValues(decision.result).Inc()

	// 4. Have it decided anew when something happens that may change it.
	s.queue.Park(key, decision.wakeOn|evictionEvents(decision), decision.interest())

	// 5. Write it, if there is anything to write.
	if decision.idle() {
		s.finish(ctx, decision, nil)
		return
	}
	s.commit(ctx, decision, s.goAhead(decision))
}

// lookUp collects what memory holds about a template.
func (s *Scheduler) lookUp(key template.Key) *subject {
	found := &subject{key: key, template: s.templates.Get(key), binding: s.cache.Binding(key)}
	if found.template == nil {
		return found
	}
	found.kind, _ = s.templates.Kind(key.GroupKind())
	if found.binding != nil && found.binding.GetSpec().Resource.UID == found.template.UID {
		found.placed = map[string]int32{}
		for _, cluster := range found.binding.GetSpec().Clusters {
			found.placed[cluster.Name] = cluster.Replicas
		}
		found.anew = asked(found.binding)
	}
	if found.template.Stays != "" {
		return found
	}
	s.losing(found)
	found.stuck = s.stuckOf(found)
	found.requiredBy = s.requiredBy(found)
	found.match = s.lazily(found, s.policies.Winner(found.template, found.holder()))
	if found.match != nil {
		found.profile = s.profiles[schedulerName(found.match.Policy.GetSpec())]
	}
	return found
}

// holder is the policy the template follows, nil when it follows none.
func (s *subject) holder() *policy.Ref {
	if s.placed == nil || s.binding.GetSpec().Policy == nil {
		return nil
	}
	from := s.binding.GetSpec().Policy
	return &policy.Ref{Namespace: from.Namespace, Name: from.Name}
}

// recreated reports whether the binding is about an earlier template of the same
// name.
func (s *subject) recreated() bool { return s.binding != nil && s.placed == nil }

// foreign reports whether another scheduler decides about the template.
func (s *subject) foreign() bool { return s.match != nil && s.profile == nil }

// asked reports whether somebody asked to decide anew since it was done last.
func asked(binding workv1alpha1.Binding) bool {
	at, last := binding.GetSpec().RescheduleTriggeredAt, binding.GetStatus().LastScheduledTime
	return at != nil && (last == nil || at.After(last.Time))
}

// suspended reports whether somebody asked not to decide.
func (s *subject) suspended() bool {
	if s.binding == nil {
		return false
	}
	suspension := s.binding.GetSpec().Suspension
	return suspension != nil && suspension.Scheduling != nil && *suspension.Scheduling
}

// decide makes the decision about one template. It reads memory only.
func (s *Scheduler) decide(ctx context.Context, subject *subject) *decision {
	switch {
	case subject.template == nil:
		return s.decideGone(subject)
	case subject.template.Foreground && subject.binding != nil:
		return s.resumed(withdrawn(subject))
	case !subject.template.DeletionTimestamp.IsZero():
		return held(subject, "it is being deleted")
	case subject.suspended():
		return held(subject, "scheduling is suspended")
	case subject.template.Stays != "":
		return answered(subject, subject.template.Stays)
	case subject.match == nil:
		return abandoned(subject)
	case subject.foreign():
		return held(subject, "another scheduler decides")
	case subject.template.Problem != "":
		return unread(subject)
	}
	if missing := s.missingOverride(subject.match.Policy); missing != "" {
		return waiting(subject, fmt.Sprintf("override policy %q, which the policy depends on, does not exist", missing), framework.OverrideAdded)
	}
	if missing := s.prioritize(subject); missing != "" {
		return waiting(subject, fmt.Sprintf("priority class %q, which the policy asks for, does not exist", missing), framework.PriorityClassAdded)
	}
	plan, err := s.plan(subject)
	if err != nil {
		return failed(subject, err)
	}
	if plan.Hold != "" {
		return answered(subject, plan.Hold)
	}
	if subject.loss != nil && plan.Division == framework.DivideByCapacityOrBeyond {
		// What made room is not to wait for that very room.
		plan.Division = framework.DivideByCapacity
	}
	clusters, diagnosis, err := s.place(ctx, subject, plan)
	if err != nil {
		return s.refused(unplaced(subject, plan, diagnosis, err), plan)
	}
	tasks := s.tasksFor(subject, clusters, true)
	how, err := s.resolve(subject.template, workv1alpha1.BindingSpec{Clusters: clusters, GracefulEvictionTasks: tasks, RequiredBy: subject.requiredBy})
	if err != nil {
		return failed(subject, err)
	}
	return placed(subject, plan, diagnosis, clusters, tasks, how)
}

// refused completes the decision about a template that does not fit: it loses what
// it has to, and has others make room if it may.
func (s *Scheduler) refused(d *decision, plan *strategy.Plan) *decision {
	if d.loss.loses() && d.result == metrics.Unschedulable {
		clusters, tasks := d.leftover(), d.binding.GetSpec().GracefulEvictionTasks
		how, err := s.resolve(d.template, workv1alpha1.BindingSpec{Clusters: clusters, GracefulEvictionTasks: tasks, RequiredBy: d.requiredBy})
		if err != nil {
			return failed(d.subject, err)
		}
		d.spec = wantedSpec(d.subject, plan, clusters, how)
		d.mourn()
		return d
	}
	if d.loss != nil && d.result == metrics.Unschedulable {
		d.mourn()
	}
	s.preempt(d, plan)
	return d
}

// decideGone releases what a template that does not exist has in members, and
// removes its binding when nothing is left there.
func (s *Scheduler) decideGone(subject *subject) *decision {
	kind := subject.key.GroupKind()
	if _, served := s.templates.Kind(kind); subject.binding == nil || served && !s.templates.Listed(kind) {
		return &decision{subject: subject, result: metrics.Held, why: "its kind is not listed yet"}
	}
	return s.resumed(gone(subject))
}

// resumed has what is held back for a template that is gone follow its policy: with it
// members let go of the object, or go on holding it. A policy that is gone holds
// nothing back.
func (s *Scheduler) resumed(d *decision) *decision {
	ref, follows := cache.PolicyOf(d.binding)
	if d.remove || !follows {
		return d
	}
	var from *policyv1alpha1.Suspension
	if found := s.policies.Get(ref); found != nil {
		from = found.GetSpec().Suspension
	}
	spec := *d.binding.GetSpec()
	if d.spec != nil {
		spec = *d.spec
	}
	if wanted := suspension(spec.Suspension, from); !equality.Semantic.DeepEqual(wanted, spec.Suspension) {
		spec.Suspension = wanted
		d.spec = &spec
	}
	return d
}

// plan finds out how the template is to be placed.
func (s *Scheduler) plan(subject *subject) (*strategy.Plan, error) {
	choice, err := s.choices.of(subject.match.Policy)
	if err != nil {
		return nil, err
	}
	return strategy.For(strategy.Input{
		Template:       subject.template,
		Kind:           subject.kind.Kind,
		Match:          subject.match,
		Choice:         choice,
		NamespaceHints: s.namespaceHints(subject.template),
		Placed:         sets.KeySet(subject.placed),
	}, facts{s})
}

func choiceOf(p policyv1alpha1.Propagation) (*strategy.Choice, error) {
	return strategy.Prepare(&p.GetSpec().Placement)
}

func (s *Scheduler) namespaceHints(t *template.Template) map[string]string {
	if t.Namespace == "" {
		return nil
	}
	namespace := s.templates.Get(template.Key{Kind: "Namespace", Name: t.Namespace})
	if namespace == nil {
		return nil
	}
	return namespace.Annotations
}

// place runs the plugins: first on the members of the term in use, then, when
// those cannot take the template, on those of the next.
func (s *Scheduler) place(ctx context.Context, subject *subject, plan *strategy.Plan) ([]workv1alpha1.TargetCluster, framework.Diagnosis, error) {
	members := s.cache.Members()
	diagnosis := framework.Diagnosis{Members: len(members)}
	field := divideField(subject, members)
	subject.missing = field.missing
	if field.settled(subject, plan) {
		return field.current, diagnosis, nil
	}
	request, err := s.newRequest(subject, plan, field)
	if err != nil {
		return nil, diagnosis, err
	}
	for _, term := range field.terms(plan) {
		request.Affinity, request.Overflow = term.Affinity, term.Overflow
		// What may lift a refusal in an earlier term may change the choice as well.
		diagnosis = framework.Diagnosis{Members: len(members), Events: diagnosis.Events}
		var clusters []workv1alpha1.TargetCluster
		clusters, err = runCycle(ctx, subject.profile, request, field, &diagnosis)
		if err != nil && subject.stuck.leave() {
			// The others take less than they have room for, by their number say.
			subject.stuck.stay()
			clusters, err = runCycle(ctx, subject.profile, request, field, &diagnosis)
		}
		if err == nil {
			return field.arrange(clusters), diagnosis, nil
		}
		if _, ok := errors.AsType[*framework.FitError](err); !ok {
			return nil, diagnosis, err
		}
	}
	return nil, diagnosis, err
}

func (s *Scheduler) newRequest(subject *subject, plan *strategy.Plan, field *field) (*framework.Request, error) {
	request := &framework.Request{
		Template:    subject.template,
		Strategy:    plan.Strategy,
		Tolerations: plan.Tolerations,
		Spread:      plan.Spread,
		Weights:     plan.Weights,
		Together:    s.membersOf(plan.Together, subject.key),
		Apart:       s.membersOf(plan.Apart, subject.key),
	}
	request.Versions = subject.kind.Versions
	if subject.kind.Custom {
		request.Expected = s.cache.MembersOf(subject.kind.Definition())
	}
	workload := subject.template.Workload
	if workload == nil {
		return request, nil
	}
	request.ClaimedBy = s.holding(subject.template.Namespace, workload.Claims)
	if len(workload.Components) > 0 {
		var err error
		subject.components, err = loadsOf(workload.Components)
		request.Whole = subject.components
		return request, err
	}
	demand, err := capacity.NewDemand(workload.Requirements, workload.Constraints)
	if err != nil {
		return nil, err
	}
	request.Demand, subject.demand = demand, demand
	if request.Divides() {
		request.Replicas = max(workload.Pods-field.frozenReplicas(), 0)
	}
	if request.Strategy.Gang && (!request.Divides() || request.Strategy.Pick == framework.PickOne) {
		request.Whole = []capacity.Load{{Demand: demand, Replicas: workload.Pods}}
	}
	return request, nil
}

// loadsOf are the loads of components.
func loadsOf(components []workv1alpha1.Component) ([]capacity.Load, error) {
	loads := make([]capacity.Load, 0, len(components))
	for _, component := range components {
		demand, err := capacity.NewDemand(component.ReplicaRequirements, nil)
		if err != nil {
			return nil, fmt.Errorf("read component %q: %w", component.Name, err)
		}
		loads = append(loads, capacity.Load{Demand: demand, Replicas: component.Replicas})
	}
	return loads, nil
}

// membersOf returns the members where a group is, but for one template of it; nil
// when it is nowhere.
func (s *Scheduler) membersOf(group *strategy.Group, but template.Key) sets.Set[string] {
	if group == nil {
		return nil
	}
	var members sets.Set[string]
	for _, key := range s.groups.members(*group) {
		if on := s.cache.MembersOf(key); key != but && on.Len() > 0 {
			members = on.Union(members)
		}
	}
	return members
}

// holding returns the members that hold all of the claims that are placed, nil
// when none is.
func (s *Scheduler) holding(namespace string, claims []string) sets.Set[string] {
	var holding sets.Set[string]
	for _, name := range claims {
		members := s.cache.MembersOf(claimKey(namespace, name))
		switch {
		case len(members) == 0:
		case holding == nil:
			holding = members
		default:
			holding = holding.Intersection(members)
		}
	}
	return holding
}

// mostSets is how many sets of components are counted to tell which member has most
// room.
const mostSets = 10

// runCycle is one pass through the extension points that choose.
func runCycle(ctx context.Context, profile *runtime.Framework, request *framework.Request, field *field, diagnosis *framework.Diagnosis) ([]workv1alpha1.TargetCluster, error) {
	// 1. Filter.
	feasible, err := profile.Filter(ctx, request, field.candidates(), diagnosis)
	if err != nil {
		return nil, err
	}
	if len(feasible) == 0 {
		return nil, &framework.FitError{Reason: workv1alpha1.ReasonNoClusterFit, Diagnosis: *diagnosis}
	}
	if request.Demand != nil {
		if field.subject.watch == nil && !field.subject.stuck.some() && !field.subject.loss.loses() && complete(request, feasible) {
			return keep(feasible), nil
		}
		if field.subject.watch != nil || looksAtRoom(request) {
			parallelize.Until(ctx, len(feasible), func(i int) {
				feasible[i].Room = roomOf(request, feasible[i]) + field.freed(feasible[i].Name())
			})
		}
		for _, candidate := range feasible {
			if field.subject.loss.keptOff(candidate.Name()) {
				candidate.Room = 0
			}
		}
		feasible = field.subject.stuck.relieve(request, feasible, field.freed)
		field.subject.considered, field.subject.wanted = feasible, request.Replicas
	}
	if len(field.subject.components) > 0 {
		parallelize.Until(ctx, len(feasible), func(i int) {
			feasible[i].Room = feasible[i].Free.Sets(mostSets, request.Whole...)
		})
	}

	// 2. Score.
	if err := profile.Score(ctx, request, feasible); err != nil {
		return nil, err
	}
	if field.subject.watch != nil {
		field.subject.watch(feasible)
	}

	// 3. Select.
	selected, err := profile.Select(ctx, request, feasible, diagnosis)
	if err != nil {
		return nil, err
	}
	if len(selected) == 0 {
		return nil, &framework.FitError{Reason: workv1alpha1.ReasonUnschedulable, Diagnosis: *diagnosis}
	}

	// 4. Assign.
	clusters, err := profile.Assign(ctx, request, selected, diagnosis)
	if err != nil {
		return nil, err
	}
	if len(clusters) == 0 {
		return nil, &framework.FitError{Reason: workv1alpha1.ReasonUnschedulable, Diagnosis: *diagnosis}
	}
	return clusters, nil
}

// looksAtRoom reports whether the choice depends on the room of members. What goes
// to all of them does not.
func looksAtRoom(request *framework.Request) bool {
	return request.Strategy.Pick == framework.PickOne || request.Divides() || len(request.Spread) > 0
}

// roomOf is the room of a member: what is certain where nothing may wait in
// members, else what is likely.
func roomOf(request *framework.Request, candidate *framework.Candidate) int32 {
	switch request.Strategy.Division {
	case framework.DivideByCapacity, framework.DivideAggregated:
		return candidate.Free.Certain(request.Demand, candidate.Replicas)
	default:
		return candidate.Free.Room(request.Demand, candidate.Replicas)
	}
}

// complete reports whether a division by capacity is what it should be already:
// every replica has its member and no constraint is on the number of members.
// Most decisions after a restart are of this sort, and need no estimate.
func complete(request *framework.Request, feasible []*framework.Candidate) bool {
	if !request.Strategy.Division.ByRoom() || request.Replicas == 0 || len(request.Spread) > 0 {
		return false
	}
	var replicas int32
	members := 0
	for _, candidate := range feasible {
		replicas += candidate.Replicas
		if candidate.Replicas > 0 {
			members++
		}
	}
	return replicas == request.Replicas && (request.Strategy.Pick == framework.PickAll || members == 1)
}

func keep(feasible []*framework.Candidate) []workv1alpha1.TargetCluster {
	var out []workv1alpha1.TargetCluster
	for _, candidate := range feasible {
		if candidate.Replicas > 0 {
			out = append(out, workv1alpha1.TargetCluster{Name: candidate.Name(), Replicas: candidate.Replicas})
		}
	}
	return out
}

// reserve has the decision count for the next one.
func (s *Scheduler) reserve(ctx context.Context, d *decision) error {
	if d.spec == nil {
		return nil
	}
	if d.profile != nil {
		if err := d.profile.Reserve(ctx, &framework.Request{Template: d.template}, d.spec.Clusters); err != nil {
			return fmt.Errorf("reserve for %s: %w", d.key, err)
		}
	}
	s.apply(d.key, s.cache.Assume(d.key, d.spec.Clusters, d.loads()))
	return nil
}

// facts answers questions of the strategy.
type facts struct{ *Scheduler }

var _ strategy.Facts = facts{}

// Footprint implements strategy.Facts.
func (f facts) Footprint(namespace string) sets.Set[string] { return f.cache.Footprint(namespace) }

// Landed implements strategy.Facts.
func (f facts) Landed(namespace string) sets.Set[string] { return f.cache.Landed(namespace) }

// Mounting implements strategy.Facts.
func (f facts) Mounting(claim template.Key) sets.Set[string] {
	members := sets.New[string]()
	for _, workload := range f.mounts.users(claim) {
		members = members.Union(f.cache.MembersOf(workload))
	}
	return members
}

func claimKey(namespace, name string) template.Key {
	return template.Key{Kind: "PersistentVolumeClaim", Namespace: namespace, Name: name}
}
