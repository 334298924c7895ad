// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package namednodes

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// NamedNodes is a plugin that checks the names by which Pods ask for their nodes. In the
// fleet a Node is called <node>.<member>, which tells the member; there the Pods ask for
// <node> (package render).
type NamedNodes struct {
	members func() []*framework.Member
}

var (
	_ framework.FilterPlugin  = NamedNodes{}
	_ framework.EventInterest = NamedNodes{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "NamedNodes"
	// ErrReason is the refusal of a member that has none of the nodes.
	ErrReason = "had no node of a name that the pods ask for"
)

// Name returns the name of the plugin.
func (NamedNodes) Name() string { return Name }

// Events returns what may lift a refusal: a member of the name that is asked for.
func (NamedNodes) Events() framework.Event { return framework.MemberAdded }

// Filter passes members that may have one of the nodes. It holds for members that run the
// template as well: somebody changed it to have it so.
func (n NamedNodes) Filter(_ context.Context, request *framework.Request, candidate *framework.Candidate) *framework.Status {
	workload := request.Template.Workload
	if workload == nil || workload.Nodes == nil || workload.Nodes.In(candidate.Name(), n.isMember) {
		return nil
	}
	return framework.Refuse(ErrReason)
}

func (n NamedNodes) isMember(name string) bool {
	_, found := slices.BinarySearchFunc(n.members(), name, func(m *framework.Member, name string) int { return cmp.Compare(m.Name(), name) })
	return found
}

// New makes the plugin.
func New(_ json.RawMessage, handle framework.Handle) (framework.Plugin, error) {
	return NamedNodes{members: handle.Members}, nil
}
