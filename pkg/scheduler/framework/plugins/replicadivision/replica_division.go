// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package replicadivision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/division"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

// ReplicaDivision is a plugin that assigns replicas by the division of the
// strategy.
type ReplicaDivision struct{}

var (
	_ framework.AssignPlugin  = ReplicaDivision{}
	_ framework.EventInterest = ReplicaDivision{}
)

// Name of the plugin in the registry and in configuration.
const Name = "ReplicaDivision"

// Name returns the name of the plugin.
func (ReplicaDivision) Name() string { return Name }

// Events returns what may lift a refusal: more room, or more members.
func (ReplicaDivision) Events() framework.Event {
	return framework.MemberCapacity | framework.MemberAdded | framework.MemberReady | framework.MemberSelection | framework.MemberTaints
}

// Assign divides the replicas of the template. Members that get none are left
// out, but a template with no replicas at all stays where it is, or is put on the
// best member, so that somebody reports a status for it.
func (ReplicaDivision) Assign(_ context.Context, request *framework.Request, selected []*framework.Candidate) ([]workv1alpha1.TargetCluster, *framework.Status) {
	if !request.Divides() {
		return withoutReplicas(selected), nil
	}
	if request.Replicas == 0 {
		return atRest(selected), nil
	}
	shares, err := divide(request, selected)
	if insufficient, ok := errors.AsType[*division.InsufficientError](err); ok {
		// How much would fit changes all the time and would make a new message
		// each time.
		return nil, framework.Refuse(fmt.Sprintf("not enough capacity for %d more replicas", insufficient.Wanted))
	}
	if err != nil {
		return nil, framework.AsStatus(err)
	}
	out := make([]workv1alpha1.TargetCluster, 0, len(shares))
	for _, share := range shares {
		out = append(out, workv1alpha1.TargetCluster{Name: share.Name, Replicas: share.Replicas})
	}
	return out, nil
}

func divide(request *framework.Request, selected []*framework.Candidate) ([]division.Share, error) {
	counted := request.Template.IsStatefulSet() && slices.ContainsFunc(selected, func(c *framework.Candidate) bool { return c.Replicas > 0 })
	if counted {
		selected = slices.Clone(selected)
		slices.SortStableFunc(selected, func(a, b *framework.Candidate) int { return cmp.Compare(a.Position, b.Position) })
	}
	members := make([]division.Member, 0, len(selected))
	for _, candidate := range selected {
		members = append(members, division.Member{
			Name:      candidate.Name(),
			Current:   candidate.Replicas,
			Available: candidate.Room,
			Weight:    request.WeightOf(candidate.Member),
			AtLeast:   candidate.AtLeast,
			Tier:      request.Tier(candidate.Member),
		})
	}
	switch how := request.Strategy.Division; {
	case how == framework.DivideByWeight:
		return byWeight(request, members)
	case counted:
		return division.InOrder(request.Replicas, members, how == framework.DivideByCapacityOrBeyond)
	case how == framework.DivideByCapacity:
		return division.ByCapacity(request.Replicas, members)
	case how == framework.DivideAggregated:
		return division.Aggregate(request.Replicas, members)
	default:
		return division.ByCapacityOrBeyond(request.Replicas, members), nil
	}
}

// byWeight divides by weights alone, but for a gang: there no member gets more than
// it has room for.
func byWeight(request *framework.Request, members []division.Member) ([]division.Share, error) {
	shares := division.ByWeight(request.Replicas, members)
	if !request.Strategy.Gang {
		return shares, nil
	}
	for _, share := range shares {
		i := slices.IndexFunc(members, func(m division.Member) bool { return m.Name == share.Name })
		if added := share.Replicas - members[i].Current; added > members[i].Available {
			return nil, &division.InsufficientError{Wanted: int64(added), Available: int64(members[i].Available)}
		}
	}
	return shares, nil
}

func withoutReplicas(selected []*framework.Candidate) []workv1alpha1.TargetCluster {
	out := make([]workv1alpha1.TargetCluster, 0, len(selected))
	for _, candidate := range selected {
		out = append(out, workv1alpha1.TargetCluster{Name: candidate.Name()})
	}
	slices.SortFunc(out, byName)
	return out
}

func atRest(selected []*framework.Candidate) []workv1alpha1.TargetCluster {
	placed := slices.DeleteFunc(slices.Clone(selected), func(c *framework.Candidate) bool { return !c.Placed })
	if len(placed) == 0 {
		placed = selected[:min(len(selected), 1)]
	}
	return withoutReplicas(placed)
}

func byName(a, b workv1alpha1.TargetCluster) int { return cmp.Compare(a.Name, b.Name) }

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return ReplicaDivision{}, nil
}
