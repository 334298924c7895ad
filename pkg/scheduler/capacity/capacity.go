// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	v1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Summary is what is free in a member. Nil when it reported nothing yet.
type Summary struct {
	classes []class
	total   Vector
}

type class struct {
	node *corev1.Node // labels and taints, for upstream's matchers
	free []nodes
}

type nodes struct {
	count     int64
	resources Vector
}

// Summarize prepares what a member reports for counting.
func Summarize(status *clusterv1alpha1.ClusterStatus) *Summary {
	if status.Capacity == nil || len(status.Capacity.Classes) == 0 {
		return nil
	}
	summary := &Summary{total: Vector{}}
	for _, from := range status.Capacity.Classes {
		c := class{node: &corev1.Node{}}
		c.node.Labels = from.Labels
		c.node.Spec.Taints = from.Taints
		for _, entry := range from.Free {
			free := nodes{count: int64(entry.Count), resources: newVector(entry.Resources)}
			c.free = append(c.free, free)
			summary.total.Add(free.resources, free.count)
		}
		summary.classes = append(summary.classes, c)
	}
	return summary
}

// Demand is what one replica asks of a node.
type Demand struct {
	request     Vector
	each        []amount // of request
	selector    map[string]string
	affinity    *nodeaffinity.NodeSelector
	tolerations []corev1.Toleration
}

// NewDemand prepares the requirements of one replica for counting. Nil
// requirements ask for one Pod.
func NewDemand(from *workv1alpha1.ReplicaRequirements) (*Demand, error) {
	demand := &Demand{request: Vector{}}
	if from != nil {
		demand.request = newVector(from.ResourceRequest)
	}
	demand.request[corev1.ResourcePods] = 1
	demand.each = demand.request.amounts()
	if from == nil || from.NodeClaim == nil {
		return demand, nil
	}
	demand.tolerations = from.NodeClaim.Tolerations
	demand.selector = withoutHostName(from.NodeClaim.NodeSelector)
	if required := from.NodeClaim.HardNodeAffinity; required != nil && !namesNodes(required) {
		selector, err := nodeaffinity.NewNodeSelector(required)
		if err != nil {
			return nil, fmt.Errorf("read required node affinity: %w", err)
		}
		demand.affinity = selector
	}
	return demand, nil
}

// Load is what n replicas take from a member.
func (d *Demand) Load(n int32) Vector {
	load := make(Vector, len(d.request))
	load.Add(d.request, int64(n))
	return load
}

// Admits reports whether some node of the member would take the Pod if it had
// room. Without a report the answer is yes.
func (s *Summary) Admits(demand *Demand) bool {
	return s == nil || slices.ContainsFunc(s.classes, func(c class) bool { return c.admits(demand) })
}

// Room is how many replicas fit, given the load promised to the member that its
// report does not show yet. Without a report it is 0.
func (s *Summary) Room(demand *Demand, promised Vector) int32 {
	if s == nil {
		return 0
	}
	var room int64
	for _, c := range s.classes {
		if !c.admits(demand) {
			continue
		}
		for _, free := range c.free {
			room += free.count * free.resources.times(demand.each, nil)
		}
	}
	if len(promised) > 0 {
		room = min(room, s.total.times(demand.each, promised))
	}
	return int32(min(room, math.MaxInt32))
}

func (c class) admits(demand *Demand) bool {
	for key, value := range demand.selector {
		if c.node.Labels[key] != value {
			return false
		}
	}
	if demand.affinity != nil && !demand.affinity.Match(c.node) {
		return false
	}
	_, untolerated := v1helper.FindMatchingUntoleratedTaint(klog.Logger{}, c.node.Spec.Taints, demand.tolerations, keepsPodsOff, true)
	return !untolerated
}

func keepsPodsOff(taint *corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
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

// Less reports whether other has more of some resource free.
func (s *Summary) Less(other *Summary) bool {
	if s == nil || other == nil {
		return other != nil
	}
	for name, amount := range other.total {
		if amount > s.total[name] {
			return true
		}
	}
	return false
}
