// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package spreadconstraint

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

// SpreadConstraint is a plugin that chooses the best members within the bounds of
// the spread constraints of the placement. It knows the constraint on the number
// of members; one on regions, zones, providers or labels is an error, never
// ignored.
type SpreadConstraint struct{}

var (
	_ framework.SelectPlugin  = SpreadConstraint{}
	_ framework.EventInterest = SpreadConstraint{}
)

// Name of the plugin in the registry and in configuration.
const Name = "SpreadConstraint"

// Name returns the name of the plugin.
func (SpreadConstraint) Name() string { return Name }

// Events returns what may lift a refusal: more members.
func (SpreadConstraint) Events() framework.Event {
	return framework.MemberAdded | framework.MemberAccepted | framework.MemberReady | framework.MemberLabels | framework.MemberTaints
}

// Select sorts by score, then name, and takes as many as are allowed.
func (SpreadConstraint) Select(_ context.Context, request *framework.Request, candidates []*framework.Candidate) ([]*framework.Candidate, *framework.Status) {
	least, most := 1, len(candidates)
	for _, constraint := range request.Spread {
		if constraint.SpreadByLabel != "" || constraint.SpreadByField != policyv1alpha1.SpreadByFieldCluster {
			by := cmp.Or(constraint.SpreadByLabel, string(constraint.SpreadByField))
			return nil, framework.AsStatus(fmt.Errorf("spread by %q: only %q is known", by, policyv1alpha1.SpreadByFieldCluster))
		}
		least = int(constraint.MinGroups)
		if constraint.MaxGroups > 0 {
			most = min(most, int(constraint.MaxGroups))
		}
	}
	if request.Strategy.Pick == framework.PickOne {
		most = min(most, 1)
	}
	if len(candidates) < least {
		return nil, framework.Refuse(fmt.Sprintf("spread constraints ask for at least %d clusters", least))
	}
	ranked := slices.Clone(candidates)
	slices.SortFunc(ranked, func(a, b *framework.Candidate) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Name(), b.Name()))
	})
	return ranked[:most], nil
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return SpreadConstraint{}, nil
}
