// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package namednodes

import (
	"context"
	"encoding/json"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// NamedNodes is a plugin that restricts Pods to the members that have the nodes they ask
// for by name. In the fleet a Node is called <node>.<member>, which tells the member;
// there the Pods ask for <node> (package render). It holds for members that run the
// template as well: somebody changed it to have it so.
type NamedNodes struct {
	members func() []*framework.Member
}

var (
	_ framework.PreFilterPlugin = NamedNodes{}
	_ framework.EventInterest   = NamedNodes{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "NamedNodes"
	// ErrReason is the refusal of a template whose nodes no member has.
	ErrReason = "no cluster has a node of a name that the pods ask for"
)

// Name returns the name of the plugin.
func (NamedNodes) Name() string { return Name }

// Events returns what may lift a refusal: a member of the name that is asked for.
func (NamedNodes) Events() framework.Event { return framework.MemberAdded }

// PreFilter returns the members that may have one of the nodes.
func (n NamedNodes) PreFilter(_ context.Context, request *framework.Request) (sets.Set[string], *framework.Status) {
	workload := request.Template.Workload
	if workload == nil || workload.Nodes == nil {
		return nil, nil
	}
	all := sets.New[string]()
	for _, member := range n.members() {
		all.Insert(member.Name())
	}
	may := workload.Nodes.Members(all)
	if may != nil && may.Len() == 0 {
		return nil, framework.Refuse(ErrReason)
	}
	return may, nil
}

// New makes the plugin.
func New(_ json.RawMessage, handle framework.Handle) (framework.Plugin, error) {
	return NamedNodes{members: handle.Members}, nil
}
