// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"fleet.dev/fleet/pkg/apis/cluster/place"
)

// maxPlaceLength is how long the API lets the name of a provider be. Regions and
// zones are label values, which are shorter.
const maxPlaceLength = 128

// providerOf returns the scheme of a node's providerID, as cloud providers set it
// (<provider>://<id of theirs>), empty when it has none.
func providerOf(providerID string) string {
	provider, _, ok := strings.Cut(providerID, "://")
	if !ok || len(provider) > maxPlaceLength {
		return ""
	}
	return provider
}

// placeOf says where nodes are. All of them count, whatever their state, so that
// a node that is down for a moment moves nothing.
func placeOf(nodes []*node) place.Place {
	providers, regions, zones := map[string]int{}, map[string]int{}, map[string]int{}
	for _, n := range nodes {
		providers[n.provider]++
		regions[n.Labels[corev1.LabelTopologyRegion]]++
		zones[n.Labels[corev1.LabelTopologyZone]]++
	}
	delete(zones, "")
	return place.Place{
		Provider: mostFrequent(providers),
		Region:   mostFrequent(regions),
		Zones:    slices.Sorted(maps.Keys(zones)),
	}
}

// mostFrequent returns the name counted most often, the first by name among
// equals. Nodes that say nothing do not count.
func mostFrequent(counts map[string]int) string {
	delete(counts, "")
	if len(counts) == 0 {
		return ""
	}
	return slices.MinFunc(slices.Collect(maps.Keys(counts)), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}
