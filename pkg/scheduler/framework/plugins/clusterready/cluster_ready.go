// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterready

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// ClusterReady is a plugin that refuses members that are not ready.
type ClusterReady struct{}

var (
	_ framework.FilterPlugin  = ClusterReady{}
	_ framework.EventInterest = ClusterReady{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "ClusterReady"
	// ErrReason is the refusal of a member that is not ready.
	ErrReason = "were not ready"
)

// Name returns the name of the plugin.
func (ClusterReady) Name() string { return Name }

// Events returns what may lift a refusal.
func (ClusterReady) Events() framework.Event { return framework.MemberReady }

// Filter passes members that are ready, and those that run the template: to move
// away from a member that went down is for the eviction controllers, which know
// for how long it has been.
func (ClusterReady) Filter(_ context.Context, _ *framework.Request, candidate *framework.Candidate) *framework.Status {
	if candidate.Placed || candidate.Ready {
		return nil
	}
	return framework.Refuse(ErrReason)
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return ClusterReady{}, nil
}
