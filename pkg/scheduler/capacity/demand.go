// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Demand is what one replica asks of a node.
type Demand struct {
	each        []amount // requested, one of the Pods a node allows included
	selector    map[string]string
	affinity    *nodeaffinity.NodeSelector
	tolerations []corev1.Toleration
	named       bool // it asks for one node by name
	ports       []corev1.ContainerPort
	alone       bool // no two on one node
	topology    []Rule
	namespace   string
	// usage is what quotas of its namespace count for it.
	usage func() (usage, error)
}

// NewDemand prepares the requirements of one replica for counting, with the
// constraints of its Pod beyond those; nil is none. Nil requirements ask for one
// Pod.
func NewDemand(from *workv1alpha1.ReplicaRequirements, constraints *Constraints) (*Demand, error) {
	demand := &Demand{}
	var request vector
	if from != nil {
		request = newVector(from.ResourceRequest)
		demand.namespace = from.Namespace
	}
	demand.each = request.set(podsID, 1).amounts()
	demand.usage = sync.OnceValues(func() (usage, error) { return usageOf(from, constraints) })
	if constraints != nil {
		demand.ports = constraints.HostPorts
		demand.topology = slices.DeleteFunc(slices.Clone(constraints.Topology), func(r Rule) bool { return r.Spread == nil && r.Apart && r.Key == corev1.LabelHostname })
		demand.alone = len(demand.topology) < len(constraints.Topology)
	}
	if from == nil || from.NodeClaim == nil {
		return demand, nil
	}
	demand.tolerations = from.NodeClaim.Tolerations
	demand.selector = withoutHostName(from.NodeClaim.NodeSelector)
	demand.named = len(demand.selector) < len(from.NodeClaim.NodeSelector)
	if required := from.NodeClaim.HardNodeAffinity; required != nil && !namesNodes(required) {
		selector, err := nodeaffinity.NewNodeSelector(required)
		if err != nil {
			return nil, fmt.Errorf("read required node affinity: %w", err)
		}
		demand.affinity = selector
	}
	return demand, nil
}

func withoutHostName(selector map[string]string) map[string]string {
	if _, ok := selector[corev1.LabelHostname]; !ok {
		return selector
	}
	out := make(map[string]string, len(selector))
	for key, value := range selector {
		if key != corev1.LabelHostname {
			out[key] = value
		}
	}
	return out
}

// namesNodes reports whether an affinity is about single nodes, which a summary
// cannot tell apart.
func namesNodes(selector *corev1.NodeSelector) bool {
	return slices.ContainsFunc(selector.NodeSelectorTerms, func(term corev1.NodeSelectorTerm) bool {
		return len(term.MatchFields) > 0 || slices.ContainsFunc(term.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool {
			return r.Key == corev1.LabelHostname
		})
	})
}
