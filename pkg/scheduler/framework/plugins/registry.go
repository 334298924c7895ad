// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/apienablement"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/clusteraccepted"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/clusteraffinity"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/clusterleaving"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/clusterready"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/namednodes"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/nodefit"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/placedaffinity"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/replicadivision"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/spreadconstraint"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/tainttoleration"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/volumeaffinity"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/wholefit"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/workloadaffinity"
	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
)

// NewRegistry returns a registry with the in-tree plugins.
func NewRegistry() runtime.Registry {
	return runtime.Registry{
		apienablement.Name:    apienablement.New,
		clusteraccepted.Name:  clusteraccepted.New,
		clusteraffinity.Name:  clusteraffinity.New,
		clusterleaving.Name:   clusterleaving.New,
		clusterready.Name:     clusterready.New,
		namednodes.Name:       namednodes.New,
		nodefit.Name:          nodefit.New,
		placedaffinity.Name:   placedaffinity.New,
		replicadivision.Name:  replicadivision.New,
		spreadconstraint.Name: spreadconstraint.New,
		tainttoleration.Name:  tainttoleration.New,
		volumeaffinity.Name:   volumeaffinity.New,
		wholefit.Name:         wholefit.New,
		workloadaffinity.Name: workloadaffinity.New,
	}
}

// Default returns the plugins a profile starts from, cheap refusals first.
func Default() []runtime.Enabled {
	return []runtime.Enabled{
		{Name: volumeaffinity.Name},
		{Name: namednodes.Name},
		{Name: clusterleaving.Name},
		{Name: clusteraccepted.Name},
		{Name: clusteraffinity.Name},
		{Name: workloadaffinity.Name},
		{Name: clusterready.Name},
		{Name: tainttoleration.Name, Weight: 3},
		{Name: apienablement.Name},
		{Name: nodefit.Name, Weight: 1},
		{Name: wholefit.Name},
		{Name: placedaffinity.Name, Weight: 100},
		{Name: spreadconstraint.Name},
		{Name: replicadivision.Name},
	}
}
