// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
)

// groupOrder lists the groups that DefaultGenericAPIServicePriorities leaves
// out, most important first: a resource name served by several groups resolves
// to the first. It is kube-apiserver's order with the fleet's groups behind.
var groupOrder = []string{
	"", "apps", "autoscaling", "batch", "networking.k8s.io", "policy", "storage.k8s.io",
	"scheduling.k8s.io", "node.k8s.io", "resource.k8s.io",
	"cluster.fleet.dev", "policy.fleet.dev", "work.fleet.dev", "config.fleet.dev", "apps.fleet.dev",
}

const (
	// firstGroupPriority is above every priority a CustomResourceDefinition or a
	// generic group gets (at most 17,900); APIService accepts 0 to 20,000.
	firstGroupPriority = 18000
	groupPriorityStep  = 100
)

// apiServicePriorities says in which order the aggregator publishes the given
// versions. Upstream's table is private to kube-apiserver.
func apiServicePriorities(served []schema.GroupVersion) map[schema.GroupVersion]controlplaneapiserver.APIServicePriority {
	priorities := controlplaneapiserver.DefaultGenericAPIServicePriorities()
	byVersion := slices.Clone(served)
	slices.SortFunc(byVersion, func(a, b schema.GroupVersion) int {
		return apimachineryversion.CompareKubeAwareVersionStrings(a.Version, b.Version)
	})
	for i, group := range groupOrder {
		version := int32(0)
		for _, gv := range byVersion { // lowest first
			if gv.Group != group {
				continue
			}
			version++
			if _, ok := priorities[gv]; !ok {
				priorities[gv] = controlplaneapiserver.APIServicePriority{Group: int32(firstGroupPriority - i*groupPriorityStep), Version: version}
			}
		}
	}
	return priorities
}
