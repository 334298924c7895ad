// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package volumeaffinity

import (
	"context"
	"encoding/json"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// VolumeAffinity is a plugin that restricts a template whose Pods mount a
// PersistentVolumeClaim to the members that hold it: one claim is one volume, and
// its data is there. Claims that are nowhere yet follow the Pods.
type VolumeAffinity struct{}

var (
	_ framework.PreFilterPlugin = VolumeAffinity{}
	_ framework.EventInterest   = VolumeAffinity{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "VolumeAffinity"
	// ErrReason is the refusal of a template whose claims share no member.
	ErrReason = "no cluster holds all persistent volume claims of the pods"
)

// Name returns the name of the plugin.
func (VolumeAffinity) Name() string { return Name }

// Events returns what may lift a refusal.
func (VolumeAffinity) Events() framework.Event { return framework.ClaimPlaced }

// PreFilter returns the members that hold the claims. A DaemonSet is not held to
// them: it has Pods everywhere by definition, and a claim in each member.
func (VolumeAffinity) PreFilter(_ context.Context, request *framework.Request) (sets.Set[string], *framework.Status) {
	switch {
	case request.ClaimedBy == nil || request.Strategy.Pick == framework.PickAll:
		return nil, nil
	case request.ClaimedBy.Len() == 0:
		return nil, framework.Refuse(ErrReason)
	default:
		return request.ClaimedBy, nil
	}
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return VolumeAffinity{}, nil
}
