// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/metrics"
	"fleet.dev/fleet/pkg/scheduler/preemption"
	"fleet.dev/fleet/pkg/scheduler/strategy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// A template with a priority that does not fit may have others of lower priority
// make room, in kube-scheduler's manner:
//
//  1. Its decision finds the fewest replicas of others whose places it fits in
//     (package preemption), and claims those places: others do not get them.
//  2. The others are decided about. They lose the replicas, which go elsewhere if
//     they fit somewhere; that is told by an Event and by their condition.
//  3. Members report the room. The template is decided about again, and placed.
//
// The claim is in memory. After a restart replicas that went are gone, and what is
// missing is found and claimed again.

const (
	// claimLifetime is how long a template waits for the room it had others make
	// before it may have more of them do so. A member reports the room of a Pod when
	// the Pod has ended, for which it has 30 seconds by default, and may ask for more.
	claimLifetime = 5 * time.Minute
	// keptOffLifetime is how long those who made room are held back after it was
	// taken.
	keptOffLifetime = 30 * time.Second
	// preemptedReason is the reason of the Event on what lost replicas.
	preemptedReason = "Preempted"
)

// loss is what a template loses to one of higher priority.
type loss struct {
	to template.Key
	// keeps is what it has when that is over, in the members it loses replicas in. It
	// gets no more there until then. That it is no difference makes it safe to decide
	// about it twice.
	keeps map[string]int32
	until time.Time
	// gone says that the rest has gone.
	gone bool
	// replicas that are to go, by member, of those that a subject has.
	replicas map[string]int32
}

// preemptions are those under way.
type preemptions struct {
	mu     sync.Mutex
	losses map[template.Key]*loss
	claims map[template.Key]time.Time // until when
}

func newPreemptions() *preemptions {
	return &preemptions{losses: map[template.Key]*loss{}, claims: map[template.Key]time.Time{}}
}

// lossOf returns what a template is losing, nil when it is nothing.
func (p *preemptions) lossOf(key template.Key, now time.Time) *loss {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.losses[key]
	if !ok {
		return nil
	}
	if now.After(found.until) {
		delete(p.losses, key)
		return nil
	}
	copied := *found
	return &copied
}

// lost notes that the replicas have gone.
func (p *preemptions) lost(key template.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found, ok := p.losses[key]; ok {
		found.gone = true
	}
}

// forget drops what a template was to lose.
func (p *preemptions) forget(key template.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.losses, key)
}

// begin notes what others keep that make room for a template.
func (p *preemptions) begin(by template.Key, losses map[template.Key]map[string]int32, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims[by] = until
	for key, keeps := range losses {
		p.losses[key] = &loss{to: by, keeps: keeps, until: until}
	}
}

// claiming reports whether a template waits for room that others make. A claim
// whose time is over is forgotten.
func (p *preemptions) claiming(key template.Key, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.claims[key]
	if ok && now.After(until) {
		delete(p.claims, key)
		return false
	}
	return ok
}

// end ends the claim of a template: what has not gone stays. Those who made room are
// held back a little longer when it got it, until its Pods are there.
func (p *preemptions) end(by template.Key, placed bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.claims[by]; !ok {
		return
	}
	delete(p.claims, by)
	maps.DeleteFunc(p.losses, func(_ template.Key, l *loss) bool { return l.to == by && (!placed || !l.gone) })
	until := now.Add(keptOffLifetime)
	for _, l := range p.losses {
		if l.to == by && l.until.After(until) {
			l.until = until
		}
	}
}

// losing has a subject see what it has as if what it loses had gone.
func (s *Scheduler) losing(found *subject) {
	if found.placed == nil {
		s.preemptions.forget(found.key)
		return
	}
	found.loss = s.preemptions.lossOf(found.key, s.clock.Now())
	if found.loss == nil || found.loss.gone {
		return
	}
	found.loss.replicas = map[string]int32{}
	for member, keeps := range found.loss.keeps {
		n := found.placed[member] - keeps
		if n <= 0 {
			continue
		}
		found.loss.replicas[member] = n
		if found.placed[member] = keeps; keeps == 0 {
			delete(found.placed, member)
		}
	}
	if len(found.loss.replicas) == 0 {
		s.preemptions.lost(found.key)
	}
}

// keptOff reports whether the member's room is for somebody of higher priority.
func (l *loss) keptOff(member string) bool {
	if l == nil {
		return false
	}
	_, ok := l.keeps[member]
	return ok
}

// loses reports whether replicas are to go.
func (l *loss) loses() bool { return l != nil && len(l.replicas) > 0 }

// gives reports whether replicas have gone in a placement.
func (l *loss) gives(clusters []workv1alpha1.TargetCluster) bool {
	return !slices.ContainsFunc(clusters, func(cluster workv1alpha1.TargetCluster) bool {
		keeps, loses := l.keeps[cluster.Name]
		return loses && cluster.Replicas > keeps
	})
}

// leftover is what a template has when its losses have gone.
func (s *subject) leftover() []workv1alpha1.TargetCluster {
	var clusters []workv1alpha1.TargetCluster
	for _, cluster := range s.binding.GetSpec().Clusters {
		if cluster.Replicas -= s.loss.replicas[cluster.Name]; cluster.Replicas > 0 {
			clusters = append(clusters, cluster)
		}
	}
	return clusters
}

// mourn says in the complaint who the room went to.
func (d *decision) mourn() {
	d.scheduled = nil
	d.why = fmt.Sprintf("preempted by %s: %s", d.loss.to, d.why)
	d.complain(workv1alpha1.ReasonUnschedulable, d.why, d.diagnosis.Reasons)
}

// preempt finds out who is to make room for a template that does not fit.
func (s *Scheduler) preempt(d *decision, plan *strategy.Plan) {
	if !mayPreempt(d, plan) || s.preemptions.claiming(d.key, s.clock.Now()) {
		return
	}
	short := int64(d.wanted)
	for _, candidate := range d.considered {
		short -= int64(candidate.Replicas) + int64(candidate.Room)
	}
	var victims []victim
	for _, candidate := range d.considered {
		victims = append(victims, s.victimsOn(d, candidate)...)
	}
	victims = s.gangs(victims)
	candidates := make([]preemption.Candidate, 0, len(victims))
	for _, v := range victims {
		candidates = append(candidates, v.Candidate)
	}
	gone := preemption.Choose(short, candidates)
	for i, n := range gone {
		if n == 0 {
			continue
		}
		if d.losses == nil {
			d.losses, d.claim = map[template.Key]map[string]int32{}, map[string]int32{}
		}
		victims[i].lose(n, d)
	}
	if len(d.losses) == 0 {
		return
	}
	for _, candidate := range d.considered {
		d.claim[candidate.Name()] += candidate.Room
	}
}

// mayPreempt reports whether others make room for the template: its class says so,
// it may not wait in members, and whose place it takes can be told.
func mayPreempt(d *decision, plan *strategy.Plan) bool {
	strict := plan.Division == framework.DivideByCapacity || plan.Division == framework.DivideAggregated
	return d.priority != nil && d.priority.Preempts && strict && plan.Pick == framework.PickAll &&
		len(plan.Spread) == 0 && d.demand != nil && d.result == metrics.Unschedulable && !d.loss.loses()
}

// victim is replicas that may go.
type victim struct {
	preemption.Candidate
	key template.Key
	// members by how many replicas it has there, and how much room one makes.
	members []share
}

type share struct {
	member          string
	replicas, yield int32
}

// lose notes that replicas go.
func (v victim) lose(n int32, d *decision) {
	if d.losses[v.key] == nil {
		d.losses[v.key] = map[string]int32{}
	}
	for _, share := range v.members {
		of := min(n, share.replicas)
		d.losses[v.key][share.member] = share.replicas - of
		d.claim[share.member] += of * share.yield
		n -= of
	}
}

// victimsOn returns what may go from a member, by key.
func (s *Scheduler) victimsOn(d *decision, candidate *framework.Candidate) []victim {
	var victims []victim
	keys := s.cache.PlacedOn(candidate.Name())
	slices.SortFunc(keys, template.Key.Compare)
	for _, key := range keys {
		binding, t := s.cache.Binding(key), s.templates.Get(key)
		if key == d.key || binding == nil || t == nil || !yields(binding, t) || priorityOf(binding) >= d.priority.Value || s.preemptions.lossOf(key, s.clock.Now()) != nil ||
			s.autoscaled(key) {
			continue
		}
		if v := s.victimOn(d, candidate, t, binding); v.Replicas > 0 && (v.Yield > 0 || v.Whole) {
			victims = append(victims, v)
		}
	}
	return victims
}

// victimOn is what one template has on a member.
func (s *Scheduler) victimOn(d *decision, candidate *framework.Candidate, t *template.Template, binding workv1alpha1.Binding) victim {
	found := victim{key: t.Key()}
	demand, err := capacity.NewDemand(t.Workload.Requirements, t.Workload.Constraints)
	if err != nil {
		return found
	}
	replicas, room := s.cache.ReplicasOn(found.key, candidate.Name()), candidate.Free.Yield(demand, d.demand)
	found.members = []share{{member: candidate.Name(), replicas: replicas, yield: room}}
	found.Candidate = preemption.Candidate{
		Priority: priorityOf(binding), Replicas: replicas, Yield: room, Whole: binding.GetSpec().Placement.Gang != nil,
	}
	return found
}

// gangs joins what one gang has in several members, those included where it makes
// no room: it goes everywhere or nowhere.
func (s *Scheduler) gangs(victims []victim) []victim {
	var joined []victim
	at := map[template.Key]int{}
	for _, v := range victims {
		i, known := at[v.key]
		switch {
		case !v.Whole:
			joined = append(joined, v)
			continue
		case !known:
			i = len(joined)
			at[v.key] = i
			joined = append(joined, victim{key: v.key, members: s.sharesOf(v.key), Candidate: preemption.Candidate{Priority: v.Priority, Whole: true}})
			for _, share := range joined[i].members {
				joined[i].Replicas += share.replicas
			}
		}
		joined[i].Yield += v.Yield * v.Replicas
		for n := range joined[i].members {
			if joined[i].members[n].member == v.members[0].member {
				joined[i].members[n].yield = v.Yield
			}
		}
	}
	return slices.DeleteFunc(joined, func(v victim) bool { return v.Yield == 0 })
}

// sharesOf is what a template has in all members.
func (s *Scheduler) sharesOf(key template.Key) []share {
	var shares []share
	for _, member := range sets.List(s.cache.MembersOf(key)) {
		shares = append(shares, share{member: member, replicas: s.cache.ReplicasOn(key, member)})
	}
	return shares
}

// yields reports whether replicas of a workload may be taken away and placed
// elsewhere: they are divided by capacity, have no place of their own, and nothing
// says in how many places they have to be.
func yields(binding workv1alpha1.Binding, t *template.Template) bool {
	if t.Workload == nil || !t.Workload.Replicated || t.IsStatefulSet() || !t.DeletionTimestamp.IsZero() {
		return false
	}
	spec := binding.GetSpec()
	if spec.Resource.UID != t.UID || spec.Suspension != nil && ptr.Deref(spec.Suspension.Scheduling, false) {
		return false
	}
	return spec.Placement != nil && len(spec.Placement.SpreadConstraints) == 0 && byCapacity(spec.Placement)
}

// autoscaled reports whether an autoscaler goes along with a workload to some of its
// members: the replicas there are its to say.
func (s *Scheduler) autoscaled(key template.Key) bool {
	for _, user := range s.needs.Targeting(key) {
		if user.Group != autoscalingv2.GroupName || user.Kind != "HorizontalPodAutoscaler" {
			continue
		}
		if spec := s.specOf(user); spec != nil && spec.Holders().HasAny(sets.List(s.cache.MembersOf(key))...) {
			return true
		}
	}
	return false
}

// byCapacity reports whether a placement divides by capacity.
func byCapacity(placement *policyv1alpha1.Placement) bool {
	how := placement.ReplicaScheduling
	if placement.Auto != nil || how == nil || how.ReplicaSchedulingType != policyv1alpha1.Divided {
		return placement.Auto != nil
	}
	return how.ReplicaDivisionPreference == policyv1alpha1.Aggregated || how.WeightPreference != nil && how.WeightPreference.DynamicWeight != ""
}

func priorityOf(binding workv1alpha1.Binding) int32 {
	if p := binding.GetSpec().SchedulePriority; p != nil {
		return p.Priority
	}
	return 0
}

// claim has the room that others make, and that there is already, counted as taken.
func (s *Scheduler) claim(d *decision) {
	now := s.clock.Now()
	switch {
	case len(d.losses) > 0:
		s.preemptions.begin(d.key, d.losses, now.Add(claimLifetime))
		loads := map[string]capacity.Load{}
		for member, n := range d.claim {
			loads[member] = capacity.Load{Demand: d.demand, Replicas: n}
		}
		s.cache.Claim(d.key, loads)
		for key := range d.losses {
			s.queue.Add(key)
		}
		// When it is over there may be others to ask.
		s.queue.AddAfter(d.key, claimLifetime+time.Second)
	case d.result == metrics.Unschedulable && s.preemptions.claiming(d.key, now):
		s.cache.ClaimAgain(d.key)
	default:
		s.preemptions.end(d.key, d.result == metrics.Placed, now)
		s.cache.Unclaim(d.key)
	}
}

// tellLoss tells a template that replicas went, after a binding without them was
// written.
func (s *Scheduler) tellLoss(d *decision) {
	if d.spec == nil || !d.loss.loses() || !d.loss.gives(d.spec.Clusters) {
		return
	}
	s.preemptions.lost(d.key)
	for _, member := range slices.Sorted(maps.Keys(d.loss.replicas)) {
		s.recorder.Eventf(reference(d.template), nil, corev1.EventTypeWarning, preemptedReason, "Scheduling",
			"%d replicas on %s made room for %s", d.loss.replicas[member], member, d.loss.to)
	}
}
