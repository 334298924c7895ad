// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package nodefit

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// NodeFit is a plugin that checks that some node of the member matches the node
// selector, required node affinity and tolerations of the Pods, and scores
// members by how many more of them fit.
//
// A member that is merely full is not refused: how much of a division it gets is
// for the division, and Pods may wait in a member as they do in any cluster.
type NodeFit struct{}

var (
	_ framework.FilterPlugin    = NodeFit{}
	_ framework.ScoreNormalizer = NodeFit{}
	_ framework.EventInterest   = NodeFit{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "NodeFit"
	// ErrReason is the refusal of a member without a node for the Pods.
	ErrReason = "had no node that the pods may run on"
)

// Name returns the name of the plugin.
func (NodeFit) Name() string { return Name }

// Events returns what may lift a refusal: new nodes are new capacity.
func (NodeFit) Events() framework.Event { return framework.MemberCapacity }

// Filter passes members with a node that matches, and those that run the
// template. A Pod that is bound to its node is not asked about any.
func (NodeFit) Filter(_ context.Context, request *framework.Request, candidate *framework.Candidate) *framework.Status {
	if request.Demand == nil || candidate.Placed || isBound(request.Template) || candidate.Free.Admits(request.Demand) {
		return nil
	}
	return framework.Refuse(ErrReason)
}

func isBound(t *template.Template) bool {
	return t != nil && t.Workload != nil && t.Workload.Nodes != nil && t.Workload.Nodes.Bound != ""
}

// Score is the room for more replicas.
func (NodeFit) Score(_ context.Context, _ *framework.Request, candidate *framework.Candidate) (int64, *framework.Status) {
	return int64(candidate.Room), nil
}

// NormalizeScores gives the roomiest member MaxScore and the others their part of
// it.
func (NodeFit) NormalizeScores(scores []int64) {
	var most int64
	for _, room := range scores {
		most = max(most, room)
	}
	if most == 0 {
		return
	}
	for i, room := range scores {
		scores[i] = framework.MaxScore * room / most
	}
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return NodeFit{}, nil
}
