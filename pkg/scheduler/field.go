// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"cmp"
	"slices"

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
}

func divideField(subject *subject, members []*framework.Member) *field {
	f := &field{subject: subject, members: members}
	if len(subject.placed) == 0 {
		return f
	}
	for _, cluster := range subject.binding.GetSpec().Clusters {
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
	return workload != nil && workload.Replicated && plan.Division != framework.DivideNothing && f.frozenReplicas() >= workload.Pods
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
		all[i] = framework.Candidate{Member: member, Placed: placed, Replicas: replicas}
		out = append(out, &all[i])
	}
	return out
}

// withFrozen adds the frozen entries to a decision.
func (f *field) withFrozen(clusters []workv1alpha1.TargetCluster) []workv1alpha1.TargetCluster {
	if len(f.frozen) == 0 {
		return clusters
	}
	out := append(slices.Clone(clusters), f.frozen...)
	slices.SortFunc(out, func(a, b workv1alpha1.TargetCluster) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
