// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteraccepted

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// ClusterAccepted is a plugin that refuses members in Pull mode that no
// administrator has accepted.
type ClusterAccepted struct{}

var (
	_ framework.FilterPlugin  = ClusterAccepted{}
	_ framework.EventInterest = ClusterAccepted{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "ClusterAccepted"
	// ErrReason is the refusal of a member that is not accepted.
	ErrReason = "were not accepted"
)

// Name returns the name of the plugin.
func (ClusterAccepted) Name() string { return Name }

// Events returns what may lift a refusal.
func (ClusterAccepted) Events() framework.Event { return framework.MemberAccepted }

// Filter passes members that are accepted, and those that run the template: a
// member whose acceptance was taken back is cut off, and keeps what it runs until
// somebody unjoins it or its eviction is due.
func (ClusterAccepted) Filter(_ context.Context, _ *framework.Request, candidate *framework.Candidate) *framework.Status {
	if candidate.Placed || candidate.Accepted {
		return nil
	}
	return framework.Refuse(ErrReason)
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return ClusterAccepted{}, nil
}
