// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package wholefit

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// WholeFit is a plugin that checks that all of what goes to a member together has
// room there at the same time. Members that run the template pass: what is placed
// stays.
type WholeFit struct{}

var (
	_ framework.FilterPlugin  = WholeFit{}
	_ framework.EventInterest = WholeFit{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "WholeFit"
	// ErrReason is the refusal of a member with too little room.
	ErrReason = "had no room for all of its pods together"
)

// Name returns the name of the plugin.
func (WholeFit) Name() string { return Name }

// Events returns what may lift a refusal: more room.
func (WholeFit) Events() framework.Event { return framework.MemberCapacity }

// Filter passes members with room for the whole, and those that run the template.
func (WholeFit) Filter(_ context.Context, request *framework.Request, candidate *framework.Candidate) *framework.Status {
	if len(request.Whole) == 0 || candidate.Placed || candidate.Free.Sets(1, request.Whole...) == 1 {
		return nil
	}
	return framework.Refuse(ErrReason)
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return WholeFit{}, nil
}
