// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cheapest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// Cheapest is a plugin that looks at what members cost.
type Cheapest struct{ args args }

// args are what a profile configures.
type args struct {
	// Label of Clusters that tells what they cost, a whole number. Required.
	Label string `json:"label"`
	// AtMost is the most a member may cost; 0 is no limit.
	AtMost int64 `json:"atMost"`
}

var (
	_ framework.FilterPlugin    = &Cheapest{}
	_ framework.ScoreNormalizer = &Cheapest{}
	_ framework.EventInterest   = &Cheapest{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "Cheapest"
	// ErrReason is the refusal of a member that costs too much.
	ErrReason = "cost too much"
	// ErrReasonUnknown is the refusal of a member that does not say what it costs.
	ErrReasonUnknown = "did not say what they cost"
)

// Name returns the name of the plugin.
func (*Cheapest) Name() string { return Name }

// Events returns what may lift a refusal.
func (*Cheapest) Events() framework.Event { return framework.MemberLabels }

// Filter passes members that do not cost too much, and those that run the template.
func (c *Cheapest) Filter(_ context.Context, _ *framework.Request, candidate *framework.Candidate) *framework.Status {
	cost, known := c.cost(candidate)
	switch {
	case candidate.Placed:
		return nil
	case !known:
		return framework.Refuse(ErrReasonUnknown)
	case c.args.AtMost > 0 && cost > c.args.AtMost:
		return framework.Refuse(ErrReason)
	default:
		return nil
	}
}

// Score is what the member costs.
func (c *Cheapest) Score(_ context.Context, _ *framework.Request, candidate *framework.Candidate) (int64, *framework.Status) {
	cost, _ := c.cost(candidate)
	return cost, nil
}

// NormalizeScores gives the members MaxScore less their part of the highest cost.
func (*Cheapest) NormalizeScores(scores []int64) {
	var most int64 = 1
	for _, cost := range scores {
		most = max(most, cost)
	}
	for i, cost := range scores {
		scores[i] = framework.MaxScore - framework.MaxScore*cost/most
	}
}

// cost of a member, false when it does not say.
func (c *Cheapest) cost(candidate *framework.Candidate) (int64, bool) {
	cost, err := strconv.ParseInt(candidate.Cluster.Labels[c.args.Label], 10, 32)
	return max(cost, 0), err == nil
}

var errNoLabel = errors.New("args.label is required")

// New makes the plugin.
func New(configured json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	c := &Cheapest{}
	if len(configured) > 0 {
		if err := json.Unmarshal(configured, &c.args); err != nil {
			return nil, fmt.Errorf("read args: %w", err)
		}
	}
	if c.args.Label == "" {
		return nil, errNoLabel
	}
	return c, nil
}
