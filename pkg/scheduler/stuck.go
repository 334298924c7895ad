// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/relief"
)

// roomier are the events after which replicas may leave a member that finds no node
// for them.
const roomier = framework.MemberCapacity | framework.MemberAdded | framework.MemberReady | framework.MemberAccepted

// stuck is the replicas of a template for which its members find no node.
type stuck struct {
	// replicas that have waited long enough, by member.
	replicas map[string]int32
	// rests says that none may leave for now.
	rests bool
	// avoids says of a member with some room that it was left and is not to be
	// chosen again. Nil when none was left lately.
	avoids func(member string, room int32) bool

	// leaving are those that leave by this decision, left is the room the members had
	// that they leave.
	leaving, left map[string]int32
}

// stuckOf reads what members reported about a template that is placed. It has the
// template decided about again when Pods will have waited long enough, or the
// template rested.
func (s *Scheduler) stuckOf(subject *subject) *stuck {
	found := &stuck{}
	if subject.template.Workload == nil || len(subject.placed) == 0 {
		return found
	}
	now := s.clock.Now()
	found.replicas = s.waitingLong(subject, now)
	if s.relief.Knows(subject.key, now) {
		found.avoids = func(member string, room int32) bool { return s.relief.Avoids(subject.key, member, room, now) }
	}
	if !found.some() {
		return found
	}
	if found.avoids != nil {
		s.relief.Stuck(subject.key, now)
		s.queue.AddAfter(subject.key, relief.Memory/2)
	}
	if rest := s.relief.Rest(subject.key, s.pendingGrace, now); rest > 0 {
		found.rests = true
		s.queue.AddAfter(subject.key, rest+time.Second)
	}
	return found
}

// waitingLong returns the replicas of a template, by member, that have found no node
// for the grace period. None are known of one that is autoscaled in a member: its Pods
// there are others than the decision says.
func (s *Scheduler) waitingLong(subject *subject, now time.Time) map[string]int32 {
	waiting := map[string]int32{}
	for _, item := range subject.binding.GetStatus().AggregatedStatus {
		replicas := subject.placed[item.ClusterName]
		if replicas == 0 || item.Unschedulable == nil || !current(subject.binding, &item) {
			continue
		}
		if left := s.pendingGrace - now.Sub(item.Unschedulable.Since.Time); left > 0 {
			// The API keeps seconds only.
			s.queue.AddAfter(subject.key, left+time.Second)
			continue
		}
		waiting[item.ClusterName] = min(item.Unschedulable.Count, replicas)
	}
	if len(waiting) > 0 && s.autoscaled(subject.key) {
		return nil
	}
	return waiting
}

// current reports whether a report is about the template and the decision as they
// are.
func current(binding workv1alpha1.Binding, item *workv1alpha1.AggregatedStatusItem) bool {
	return item.TemplateUID == binding.GetSpec().Resource.UID && item.BindingGeneration >= binding.GetGeneration()
}

// some reports whether any replicas are stuck.
func (s *stuck) some() bool { return s != nil && len(s.replicas) > 0 }

// leave reports whether some of them leave by this decision.
func (s *stuck) leave() bool { return s != nil && len(s.leaving) > 0 }

// stay has them stay for now.
func (s *stuck) stay() { s.rests, s.leaving, s.left = true, nil, nil }

// relieve has replicas leave the candidates that find no node for them, as far as
// others have room. Candidates that were wrong about their room have none. It returns those
// that can be chosen. Pods of a StatefulSet stay: their volumes may hold data.
func (s *stuck) relieve(request *framework.Request, candidates []*framework.Candidate, freed func(string) int32) []*framework.Candidate {
	if s == nil || !s.some() && s.avoids == nil || !request.Divides() || !request.Strategy.Division.ByRoom() {
		return candidates
	}
	members, rooms := s.limit(request, candidates, freed)
	if request.Strategy.Pick == framework.PickOne {
		return s.elsewhere(request, candidates, members, rooms)
	}
	added := request.Replicas
	for _, candidate := range candidates {
		added -= candidate.Replicas
	}
	for i, n := range relief.Leaving(members, added) {
		if n > 0 {
			candidates[i].Replicas -= n
			s.note(candidates[i].Name(), n, rooms[i])
		}
	}
	return candidates
}

// limit takes their room from candidates that were wrong about it. It returns them as
// relief sees them, and the room they had.
func (s *stuck) limit(request *framework.Request, candidates []*framework.Candidate, freed func(string) int32) ([]relief.Member, []int32) {
	members, rooms := make([]relief.Member, len(candidates)), make([]int32, len(candidates))
	for i, candidate := range candidates {
		rooms[i] = candidate.Room
		waiting := s.replicas[candidate.Name()]
		switch {
		case waiting > 0:
			candidate.Room = max(freed(candidate.Name())-waiting, 0)
		case s.avoids != nil && s.avoids(candidate.Name(), candidate.Room):
			candidate.Room = 0
		}
		members[i].Room = candidate.Room
		if !s.rests && !request.Template.IsStatefulSet() {
			members[i].Stuck = min(waiting, candidate.Replicas)
		}
	}
	return members, rooms
}

// elsewhere returns the candidates for a template that is on one member: without
// that one when it finds no node for any replica and others take all of them.
func (s *stuck) elsewhere(request *framework.Request, candidates []*framework.Candidate, members []relief.Member, rooms []int32) []*framework.Candidate {
	var others []*framework.Candidate
	idle := -1
	for i, candidate := range candidates {
		switch {
		case candidate.Replicas > 0 && members[i].Stuck == candidate.Replicas:
			idle = i
		case candidate.Replicas == 0 && candidate.Room >= request.Replicas:
			others = append(others, candidate)
		}
	}
	if idle < 0 || len(others) == 0 {
		return candidates
	}
	s.note(candidates[idle].Name(), candidates[idle].Replicas, rooms[idle])
	return others
}

func (s *stuck) note(member string, leaving, room int32) {
	if s.leaving == nil {
		s.leaving, s.left = map[string]int32{}, map[string]int32{}
	}
	s.leaving[member], s.left[member] = leaving, room
}

// relieved remembers a written decision by which replicas left members, and tells
// the template.
func (s *Scheduler) relieved(d *decision) {
	if d.template == nil {
		// A template that memory does not hold is gone when the fleet said so for a
		// write, or nothing is left of it.
		if d.binding == nil || d.confirmGone && !d.idle() {
			s.relief.Forget(d.key)
		}
		return
	}
	if d.spec == nil || !d.stuck.leave() {
		return
	}
	s.relief.Moved(d.key, d.stuck.left, s.clock.Now())
	for _, cluster := range d.binding.GetSpec().Clusters {
		if n := d.stuck.leaving[cluster.Name]; n > 0 {
			s.recorder.Eventf(reference(d.template), nil, corev1.EventTypeNormal, "ReplicasMoved", "Scheduling",
				"%d replicas found no node in %s for %s and are placed elsewhere", n, cluster.Name, s.pendingGrace)
		}
	}
}

// pendingChanged reports whether members say something else about Pods without a
// node than before.
func pendingChanged(before, after workv1alpha1.Binding) bool {
	was, is := pendingOf(before), pendingOf(after)
	if len(was) != len(is) {
		return true
	}
	for member, pods := range is {
		if was[member] != pods {
			return true
		}
	}
	return false
}

// pending is what a member says about Pods without a node.
type pending struct {
	count   int32
	since   int64 // in seconds
	current bool
}

func pendingOf(binding workv1alpha1.Binding) map[string]pending {
	var all map[string]pending
	for i := range binding.GetStatus().AggregatedStatus {
		item := &binding.GetStatus().AggregatedStatus[i]
		if item.Unschedulable == nil {
			continue
		}
		if all == nil {
			all = map[string]pending{}
		}
		all[item.ClusterName] = pending{item.Unschedulable.Count, item.Unschedulable.Since.Unix(), current(binding, item)}
	}
	return all
}

// emptied reports whether all replicas of a member leave it for want of a node:
// nothing runs there that a replacement had to be waited for.
func (s *stuck) emptied(member string, replicas int32) bool {
	return s.leave() && s.leaving[member] > 0 && s.leaving[member] == replicas
}

// leavesFrom is how many replicas leave a member for want of a node.
func (s *stuck) leavesFrom(member string) int32 {
	if s == nil {
		return 0
	}
	return s.leaving[member]
}

// leavingAll is how many of those leave the members of a decision.
func (s *stuck) leavingAll(after []workv1alpha1.TargetCluster) (n int32) {
	for _, cluster := range after {
		n += s.leavesFrom(cluster.Name)
	}
	return n
}
