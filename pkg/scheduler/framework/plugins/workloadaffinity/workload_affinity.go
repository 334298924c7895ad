// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package workloadaffinity

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// WorkloadAffinity is a plugin that checks the workload affinity and anti-affinity
// of the placement. As with the affinity of Pods, what runs is not moved for it.
type WorkloadAffinity struct{}

var (
	_ framework.FilterPlugin  = WorkloadAffinity{}
	_ framework.EventInterest = WorkloadAffinity{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "WorkloadAffinity"
	// ErrReasonAffinity is the refusal of a member without the group.
	ErrReasonAffinity = "did not run a workload of the same group"
	// ErrReasonAntiAffinity is the refusal of a member with the group.
	ErrReasonAntiAffinity = "ran a workload of the same group"
)

// Name returns the name of the plugin.
func (WorkloadAffinity) Name() string { return Name }

// Events returns what may lift a refusal.
func (WorkloadAffinity) Events() framework.Event { return framework.GroupMoved }

// Filter passes the members of the group, all when it is nowhere yet, or all
// others; and members that run the template.
func (WorkloadAffinity) Filter(_ context.Context, request *framework.Request, candidate *framework.Candidate) *framework.Status {
	switch name := candidate.Name(); {
	case candidate.Placed:
		return nil
	case request.Together != nil && !request.Together.Has(name):
		return framework.Refuse(ErrReasonAffinity)
	case request.Apart.Has(name):
		return framework.Refuse(ErrReasonAntiAffinity)
	default:
		return nil
	}
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return WorkloadAffinity{}, nil
}
