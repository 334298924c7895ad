// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package framework

import (
	"maps"

	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// APIPool shares sets of APIs: most members of a fleet serve the same hundred
// kinds, and comparing two members' sets is comparing pointers. The zero value
// is ready to use. It is not safe for concurrent use.
type APIPool struct {
	pooled []*APIs
}

// maxPooled bounds the search for an equal set; a fleet has few different ones.
const maxPooled = 32

func (p *APIPool) get(cluster *clusterv1alpha1.Cluster) *APIs {
	made := &APIs{
		kinds:    map[schema.GroupVersionKind]struct{}{},
		complete: isTrue(cluster, clusterv1alpha1.ClusterConditionCompleteAPIEnablements),
	}
	for _, enabled := range cluster.Status.APIEnablements {
		version, err := schema.ParseGroupVersion(enabled.GroupVersion)
		if err != nil {
			continue
		}
		for _, resource := range enabled.Resources {
			made.kinds[version.WithKind(resource.Kind)] = struct{}{}
		}
	}
	for i, known := range p.pooled {
		if known.complete == made.complete && maps.Equal(known.kinds, made.kinds) {
			p.pooled[0], p.pooled[i] = known, p.pooled[0]
			return known
		}
	}
	if len(p.pooled) < maxPooled {
		p.pooled = append(p.pooled, made)
	} else {
		p.pooled[maxPooled-1] = made
	}
	return made
}
