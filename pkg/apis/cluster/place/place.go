// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package place

import (
	"cmp"
	"slices"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// Place is where a member is: what its administrator says in the spec, and where
// that says nothing what was observed.
type Place struct {
	Provider string
	Region   string
	Zones    []string
}

// Of returns the place of a member. The zones are shared with the Cluster.
func Of(cluster *clusterv1alpha1.Cluster) Place {
	place := Place{
		Provider: cmp.Or(cluster.Spec.Provider, cluster.Status.Provider),
		Region:   cmp.Or(cluster.Spec.Region, cluster.Status.Region),
		Zones:    cluster.Spec.Zones,
	}
	if len(place.Zones) == 0 {
		place.Zones = cluster.Status.Zones
	}
	return place
}

// Equal says whether both are the same place, with the zones in the same order.
func (p Place) Equal(other Place) bool {
	return p.Provider == other.Provider && p.Region == other.Region && slices.Equal(p.Zones, other.Zones)
}
