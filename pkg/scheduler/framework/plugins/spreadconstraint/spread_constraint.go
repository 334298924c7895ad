// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package spreadconstraint

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"fleet.dev/fleet/pkg/apis/cluster/place"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/spread"
)

// SpreadConstraint is a plugin that chooses the best members within the bounds of
// the spread constraints of the placement.
type SpreadConstraint struct{}

var (
	_ framework.SelectPlugin  = SpreadConstraint{}
	_ framework.EventInterest = SpreadConstraint{}
)

// Name of the plugin in the registry and in configuration.
const Name = "SpreadConstraint"

// Name returns the name of the plugin.
func (SpreadConstraint) Name() string { return Name }

// Events returns what may lift a refusal: more members, or more room in them.
func (SpreadConstraint) Events() framework.Event {
	return framework.MemberAdded | framework.MemberAccepted | framework.MemberReady | framework.MemberSelection | framework.MemberTaints | framework.MemberCapacity
}

// Select sorts the candidates and takes the first choice that is within all
// bounds, see package spread. When replicas are divided the groups are those that
// get some: no more members are chosen than there are replicas, and enough of them
// are told to get one at least. With fewer replicas than groups are asked for,
// there are as many groups as replicas.
func (SpreadConstraint) Select(_ context.Context, request *framework.Request, candidates []*framework.Candidate) ([]*framework.Candidate, *framework.Status) {
	ranked := rank(request, candidates)
	if len(request.Spread) == 0 {
		if request.Strategy.Pick == framework.PickOne {
			return ranked[:min(len(ranked), 1)], nil
		}
		return ranked, nil
	}
	ranked = slices.DeleteFunc(ranked, func(c *framework.Candidate) bool { return getsNothing(request, c) })
	dimensions, bounds := boundsFor(request)
	members := membersOf(dimensions, ranked)
	chosen, err := spread.Choose(members, bounds, roomFor(request))
	if err != nil {
		return nil, framework.AsStatus(fmt.Errorf("spread over clusters: %w", err))
	}
	if len(chosen) == 0 {
		return nil, framework.Refuse(whyNot(dimensions, bounds, members))
	}
	selected := make([]*framework.Candidate, 0, len(chosen))
	for _, i := range chosen {
		selected = append(selected, ranked[i])
	}
	if divides(request) {
		claimGroups(request, dimensions, bounds, selected)
	}
	return selected, nil
}

// rank sorts by score, then name. Where there is an order of affinities, members
// in use and members of earlier ones come first.
func rank(request *framework.Request, candidates []*framework.Candidate) []*framework.Candidate {
	ranked := slices.Clone(candidates)
	tier := func(c *framework.Candidate) int {
		if len(request.Overflow) == 0 || c.Placed {
			return 0
		}
		return 1 + request.Tier(c.Member)
	}
	slices.SortFunc(ranked, func(a, b *framework.Candidate) int {
		return cmp.Or(cmp.Compare(tier(a), tier(b)), cmp.Compare(b.Score, a.Score), cmp.Compare(a.Name(), b.Name()))
	})
	return ranked
}

func divides(request *framework.Request) bool { return request.Divides() && request.Replicas > 0 }

// strict reports whether a division never gives a member more than it has room
// for.
func strict(request *framework.Request) bool {
	division := request.Strategy.Division
	return divides(request) && (division == framework.DivideByCapacity || division == framework.DivideAggregated)
}

// getsNothing reports whether a division would leave the member out, so that its
// group would not be used.
func getsNothing(request *framework.Request, candidate *framework.Candidate) bool {
	switch {
	case strict(request):
		return candidate.Room == 0 && candidate.Replicas == 0
	case divides(request) && request.Strategy.Division == framework.DivideByWeight:
		return request.WeightOf(candidate.Member) == 0
	default:
		return false
	}
}

// roomFor is the room the chosen have to have, 0 when it does not matter.
func roomFor(request *framework.Request) int64 {
	if !strict(request) {
		return 0
	}
	return int64(request.Replicas)
}

// boundsFor returns by what members are grouped, and how many groups may be used.
// The first grouping is always by member.
func boundsFor(request *framework.Request) ([]policyv1alpha1.SpreadConstraint, []spread.Bounds) {
	dimensions := []policyv1alpha1.SpreadConstraint{{SpreadByField: policyv1alpha1.SpreadByFieldCluster}}
	bounds := make([]spread.Bounds, 1, len(request.Spread)+1)
	several := false
	for _, constraint := range request.Spread {
		bound := spread.Bounds{Least: int(constraint.MinGroups), Most: int(constraint.MaxGroups)}
		if divides(request) {
			bound.Least = min(bound.Least, int(request.Replicas))
		}
		several = several || bound.Least > 1
		if constraint.SpreadByLabel == "" && cmp.Or(constraint.SpreadByField, policyv1alpha1.SpreadByFieldCluster) == policyv1alpha1.SpreadByFieldCluster {
			bounds[0] = bound
			continue
		}
		dimensions, bounds = append(dimensions, constraint), append(bounds, bound)
	}
	if divides(request) && several {
		limit(&bounds[0], int(request.Replicas))
	}
	if request.Strategy.Pick == framework.PickOne {
		limit(&bounds[0], 1)
	}
	return dimensions, bounds
}

func limit(bound *spread.Bounds, most int) {
	if bound.Most == 0 || bound.Most > most {
		bound.Most = most
	}
}

func membersOf(dimensions []policyv1alpha1.SpreadConstraint, ranked []*framework.Candidate) []spread.Member {
	members := make([]spread.Member, 0, len(ranked))
	all := make([][]string, 0, len(ranked)*len(dimensions))
	for _, candidate := range ranked {
		begin := len(all)
		for _, dimension := range dimensions {
			all = append(all, groupsOf(dimension, candidate))
		}
		members = append(members, spread.Member{Groups: all[begin:len(all):len(all)], Room: int64(candidate.Room) + int64(candidate.Replicas)})
	}
	return members
}

// groupsOf returns the groups of a member, none when nobody said which.
func groupsOf(dimension policyv1alpha1.SpreadConstraint, candidate *framework.Candidate) []string {
	if dimension.SpreadByLabel != "" {
		value, ok := candidate.Cluster.Labels[dimension.SpreadByLabel]
		if !ok {
			return nil
		}
		return []string{value}
	}
	at := place.Of(candidate.Cluster)
	switch dimension.SpreadByField {
	case policyv1alpha1.SpreadByFieldProvider:
		return nonEmpty(at.Provider)
	case policyv1alpha1.SpreadByFieldRegion:
		return nonEmpty(at.Region)
	case policyv1alpha1.SpreadByFieldZone:
		return at.Zones
	default:
		return []string{candidate.Name()}
	}
}

func nonEmpty(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// claimGroups has as many groups of each dimension get a replica as are asked for:
// those of the members that have some, then those of the best.
func claimGroups(request *framework.Request, dimensions []policyv1alpha1.SpreadConstraint, bounds []spread.Bounds, selected []*framework.Candidate) {
	used := make([]map[string]bool, len(dimensions))
	for d := range used {
		used[d] = map[string]bool{}
	}
	var claimed int32
	for _, placed := range []bool{true, false} {
		for _, candidate := range selected {
			if placed == (candidate.Replicas > 0) && claims(dimensions, bounds, used, candidate) {
				candidate.AtLeast = 1
				claimed++
			}
		}
	}
	if claimed > request.Replicas {
		// There is a better set: all that were chosen, of which there are no more
		// than replicas.
		for _, candidate := range selected {
			candidate.AtLeast = 1
		}
	}
}

// claims reports whether the member adds to a dimension that has too few groups,
// and counts it if so.
func claims(dimensions []policyv1alpha1.SpreadConstraint, bounds []spread.Bounds, used []map[string]bool, candidate *framework.Candidate) bool {
	adds := false
	for d, dimension := range dimensions {
		for _, group := range groupsOf(dimension, candidate) {
			adds = adds || bounds[d].Least > 1 && len(used[d]) < bounds[d].Least && !used[d][group]
		}
	}
	if !adds {
		return false
	}
	for d, dimension := range dimensions {
		for _, group := range groupsOf(dimension, candidate) {
			used[d][group] = true
		}
	}
	return true
}

// whyNot says which constraint cannot be met, as far as one alone cannot.
func whyNot(dimensions []policyv1alpha1.SpreadConstraint, bounds []spread.Bounds, members []spread.Member) string {
	for d, dimension := range dimensions {
		groups := map[string]bool{}
		for _, member := range members {
			for _, group := range member.Groups[d] {
				groups[group] = true
			}
		}
		if least := max(bounds[d].Least, 1); len(groups) < least {
			return fmt.Sprintf("spread constraints ask for at least %d %s", least, nameOf(dimension))
		}
	}
	return "no set of clusters meets all spread constraints"
}

func nameOf(dimension policyv1alpha1.SpreadConstraint) string {
	if dimension.SpreadByLabel != "" {
		return "values of label " + dimension.SpreadByLabel
	}
	return string(dimension.SpreadByField) + "s"
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return SpreadConstraint{}, nil
}
