// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apienablement

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// APIEnablement is a plugin that checks that the member serves the kind of the
// template in a version that the fleet can bring it to.
type APIEnablement struct{}

var (
	_ framework.FilterPlugin  = APIEnablement{}
	_ framework.EventInterest = APIEnablement{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "APIEnablement"
	// ErrReason is the refusal of a member that does not serve the kind.
	ErrReason = "did not serve the API of the resource"
	// ErrReasonUnknown is the refusal of a member that reported no APIs yet.
	ErrReasonUnknown = "did not report the APIs yet"
)

// Name returns the name of the plugin.
func (APIEnablement) Name() string { return Name }

// Events returns what may lift a refusal.
func (APIEnablement) Events() framework.Event { return framework.MemberAPIs }

// Filter passes members that serve the kind, those that will once its
// CustomResourceDefinition has reached them, and those that run the template
// already: what a member reports may be incomplete for a while, and nothing is
// taken away because of that.
func (APIEnablement) Filter(_ context.Context, request *framework.Request, candidate *framework.Candidate) *framework.Status {
	_, serves := candidate.APIs.Version(request.Template.Kind, request.Versions)
	switch {
	case candidate.Placed, serves, request.Expected.Has(candidate.Name()):
		return nil
	case !candidate.APIs.Known():
		return framework.Refuse(ErrReasonUnknown)
	default:
		return framework.Refuse(ErrReason)
	}
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return APIEnablement{}, nil
}
