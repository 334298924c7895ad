// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/strategy"
)

// field is the members of one cycle, seen from one template.
type field struct {
	subject *subject
	members []*framework.Member
	// current is where the template is, but for members that do not exist.
	current []workv1alpha1.TargetCluster
	// frozen are the entries of members that are being unjoined. The cluster
	// controller takes them away; until then they are kept as they are.
	frozen []workv1alpha1.TargetCluster
	// missing are members of the binding that do not exist, as far as is known.
	missing []string
	// positions of the members in the binding.
	positions map[string]int
}

func divideField(subject *subject, members []*framework.Member) *field {
	f := &field{subject: subject, members: members}
	if len(subject.placed) == 0 {
		return f
	}
	f.positions = make(map[string]int, len(subject.placed))
	for i, cluster := range subject.binding.GetSpec().Clusters {
		f.positions[cluster.Name] = i
		member := find(members, cluster.Name)
		if member == nil {
			f.missing = append(f.missing, cluster.Name)
			continue
		}
		f.current = append(f.current, cluster)
		if member.Leaving {
			f.frozen = append(f.frozen, cluster)
		}
	}
	return f
}

// find returns a member of a list that is sorted by name, nil when it is not
// there.
func find(members []*framework.Member, name string) *framework.Member {
	i, found := slices.BinarySearchFunc(members, name, func(m *framework.Member, name string) int {
		return cmp.Compare(m.Name(), name)
	})
	if !found {
		return nil
	}
	return members[i]
}

// settled reports whether the template is to stay exactly where it is: because it
// is placed once and for all, or because it waits for a member to be unjoined.
func (f *field) settled(subject *subject, plan *strategy.Plan) bool {
	if len(f.current) == 0 {
		return false
	}
	if plan.Once {
		return true
	}
	if len(f.frozen) == 0 {
		return false
	}
	if plan.Pick == framework.PickOne {
		return true
	}
	workload := subject.template.Workload
	return workload != nil && workload.Divisible && plan.Division != framework.DivideNothing && f.frozenReplicas() >= workload.Pods
}

func (f *field) frozenReplicas() (n int32) {
	for _, cluster := range f.frozen {
		n += cluster.Replicas
	}
	return n
}

// candidates returns the members that can be chosen, by name.
func (f *field) candidates() []*framework.Candidate {
	all := make([]framework.Candidate, len(f.members))
	out := make([]*framework.Candidate, 0, len(f.members))
	for i, member := range f.members {
		replicas, placed := f.subject.placed[member.Name()]
		if placed && member.Leaving {
			continue
		}
		all[i] = framework.Candidate{Member: member, Placed: placed, Replicas: replicas, Position: f.position(member.Name())}
		if f.subject.anew {
			all[i].Placed, all[i].Replicas = false, 0
		}
		out = append(out, &all[i])
	}
	return out
}

// freed is the room a member gets back when the template is decided about anew:
// that of the replicas it has.
func (f *field) freed(name string) int32 {
	if !f.subject.anew {
		return 0
	}
	return f.subject.placed[name]
}

// position is the place of a member in the binding, behind all of them when it is
// not there.
func (f *field) position(name string) int {
	if at, placed := f.positions[name]; placed {
		return at
	}
	return len(f.positions)
}

// terms returns the terms of a plan in the order they are tried. A template stays
// with the term it was placed by while its policy asks for the same: only when the
// members of that cannot take it any more those of the next are tried, and those
// of the ones before it last.
func (f *field) terms(plan *strategy.Plan) []strategy.Term {
	if len(plan.Terms) < 2 || len(f.current) == 0 || f.subject.anew || !equality.Semantic.DeepEqual(f.subject.binding.GetSpec().Placement, plan.Placement) {
		return plan.Terms
	}
	inUse := slices.IndexFunc(plan.Terms, func(term strategy.Term) bool {
		request := &framework.Request{Affinity: term.Affinity, Overflow: term.Overflow}
		return !slices.ContainsFunc(f.current, func(cluster workv1alpha1.TargetCluster) bool {
			return request.Tier(find(f.members, cluster.Name)) == framework.Outside
		})
	})
	if inUse < 0 {
		return plan.Terms
	}
	return slices.Concat(plan.Terms[inUse:], plan.Terms[:inUse])
}

// arrange adds the frozen entries to a decision and puts it in the order of the
// binding: by name, but for a StatefulSet, whose Pods are counted through in that
// order. There the members that stay keep theirs, and those that are new come in
// the place of the first that goes.
func (f *field) arrange(clusters []workv1alpha1.TargetCluster) []workv1alpha1.TargetCluster {
	out := append(slices.Clone(clusters), f.frozen...)
	if !f.subject.template.IsStatefulSet() || len(f.subject.placed) == 0 {
		slices.SortFunc(out, func(a, b workv1alpha1.TargetCluster) int { return cmp.Compare(a.Name, b.Name) })
		return out
	}
	before := f.subject.binding.GetSpec().Clusters
	among := func(all []workv1alpha1.TargetCluster, name string) bool {
		return slices.ContainsFunc(all, func(c workv1alpha1.TargetCluster) bool { return c.Name == name })
	}
	gap := slices.IndexFunc(before, func(c workv1alpha1.TargetCluster) bool { return !among(out, c.Name) })
	at := func(c workv1alpha1.TargetCluster) int {
		switch i := slices.IndexFunc(before, func(old workv1alpha1.TargetCluster) bool { return old.Name == c.Name }); {
		case i >= 0:
			return i
		case gap >= 0:
			return gap
		default:
			return len(before)
		}
	}
	slices.SortStableFunc(out, func(a, b workv1alpha1.TargetCluster) int { return cmp.Compare(at(a), at(b)) })
	return out
}
