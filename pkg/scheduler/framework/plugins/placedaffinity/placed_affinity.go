// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placedaffinity

import (
	"context"
	"encoding/json"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// PlacedAffinity is a plugin that scores members by whether they run the
// template. Its weight is to be higher than that of all others together, so that
// a change elsewhere never moves what runs.
type PlacedAffinity struct{}

var _ framework.ScorePlugin = PlacedAffinity{}

// Name of the plugin in the registry and in configuration.
const Name = "PlacedAffinity"

// Name returns the name of the plugin.
func (PlacedAffinity) Name() string { return Name }

// Score is MaxScore for a member that runs the template.
func (PlacedAffinity) Score(_ context.Context, _ *framework.Request, candidate *framework.Candidate) (int64, *framework.Status) {
	if candidate.Placed {
		return framework.MaxScore, nil
	}
	return 0, nil
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return PlacedAffinity{}, nil
}
