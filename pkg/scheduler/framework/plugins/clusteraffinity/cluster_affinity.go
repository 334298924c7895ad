// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteraffinity

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// ClusterAffinity is a plugin that checks the cluster affinity of the placement.
type ClusterAffinity struct{}

var (
	_ framework.FilterPlugin  = ClusterAffinity{}
	_ framework.EventInterest = ClusterAffinity{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "ClusterAffinity"
	// ErrReason is the refusal of a member the affinity does not select.
	ErrReason = "did not match the cluster affinity"
)

// Name returns the name of the plugin.
func (ClusterAffinity) Name() string { return Name }

// Events returns what may lift a refusal.
func (ClusterAffinity) Events() framework.Event { return framework.MemberSelection }

// Filter passes the members the affinity selects. It holds for members that run
// the template as well: somebody changed the policy or the member to have it so.
func (ClusterAffinity) Filter(_ context.Context, request *framework.Request, candidate *framework.Candidate) *framework.Status {
	if request.Tier(candidate.Member) == framework.Outside {
		return framework.Refuse(ErrReason)
	}
	return nil
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return ClusterAffinity{}, nil
}
