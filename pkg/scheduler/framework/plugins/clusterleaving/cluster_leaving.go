// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterleaving

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// ClusterLeaving is a plugin that refuses members whose Cluster is being deleted.
type ClusterLeaving struct{}

var (
	_ framework.FilterPlugin  = ClusterLeaving{}
	_ framework.EventInterest = ClusterLeaving{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "ClusterLeaving"
	// ErrReason is the refusal of a member that is being unjoined.
	ErrReason = "were being unjoined"
)

// Name returns the name of the plugin.
func (ClusterLeaving) Name() string { return Name }

// Events returns none: a member that is being unjoined does not come back.
func (ClusterLeaving) Events() framework.Event { return 0 }

// Filter passes members that stay. What runs on a member that leaves is not the
// scheduler's to take away: the cluster controller does, which knows whether the
// objects there are to be deleted or released.
func (ClusterLeaving) Filter(_ context.Context, _ *framework.Request, candidate *framework.Candidate) *framework.Status {
	if candidate.Leaving {
		return framework.Refuse(ErrReason)
	}
	return nil
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return ClusterLeaving{}, nil
}
