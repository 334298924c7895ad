// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	v1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// Summary is what is free in a member. Nil when it reported nothing yet.
type Summary struct {
	classes []class
	quotas  map[string][]quota // by namespace
	total   Vector
	// reported is what there was before anything was taken, nil when nothing was,
	// taken what it was.
	reported *Summary
	taken    []taken
}

// class are the nodes that Pods cannot tell apart.
type class struct {
	node *corev1.Node // labels and taints, for upstream's matchers
	// nodes is their number, those that take no Pods for now included.
	nodes int64
	free  []nodes
}

// nodes are those of one class with the same left.
type nodes struct {
	count     int64
	resources Vector
	ports     fwk.HostPortInfo
}

// Summarize prepares what a member reports for counting.
func Summarize(status *clusterv1alpha1.ClusterStatus) *Summary {
	if status.Capacity == nil || len(status.Capacity.Classes) == 0 {
		return nil
	}
	summary := &Summary{total: Vector{}, quotas: quotasOf(status.Capacity.Quotas)}
	for _, from := range status.Capacity.Classes {
		c := class{node: &corev1.Node{}, nodes: int64(from.Nodes)}
		c.node.Labels = from.Labels
		c.node.Spec.Taints = from.Taints
		for _, entry := range from.Free {
			free := nodes{count: int64(entry.Count), resources: newVector(entry.Resources), ports: portsOf(entry.HostPorts)}
			c.free = append(c.free, free)
			summary.total.Add(free.resources, free.count)
		}
		summary.classes = append(summary.classes, c)
	}
	return summary
}

func portsOf(held []clusterv1alpha1.HostPort) fwk.HostPortInfo {
	if len(held) == 0 {
		return nil
	}
	ports := fwk.HostPortInfo{}
	for _, port := range held {
		ports.Add(port.HostIP, string(port.Protocol), port.Port)
	}
	return ports
}

// Admits reports whether some node of the member would take the Pod if it had
// room. Without a report the answer is yes.
func (s *Summary) Admits(demand *Demand) bool {
	return s == nil || slices.ContainsFunc(s.classes, func(c class) bool { return len(c.free) > 0 && c.admits(demand) && c.inTopology(demand) })
}

// Room is how many more replicas fit where current run already, if the member puts
// what was promised to it where Take expects it to. Without a report it is 0.
func (s *Summary) Room(demand *Demand, current int32) int32 {
	if s == nil {
		return 0
	}
	return int32(min(s.onNodes(demand, current), s.quotaRoom(demand), math.MaxInt32))
}

// onNodes is the room that nodes leave.
func (s *Summary) onNodes(demand *Demand, current int32) (room int64) {
	switch {
	case demand.named:
		return s.best(demand)
	case demand.alone || len(demand.topology) > 0:
		return s.roomApart(demand, int64(current))
	}
	for i := range s.classes {
		room += s.classes[i].room(demand)
	}
	return room
}

// best is the room on the best node.
func (s *Summary) best(demand *Demand) (most int64) {
	for i := range s.classes {
		if !s.classes[i].admits(demand) {
			continue
		}
		for _, free := range s.classes[i].free {
			most = max(most, free.each(demand))
		}
	}
	return most
}

func (c *class) room(demand *Demand) (room int64) {
	if !c.admits(demand) {
		return 0
	}
	for _, free := range c.free {
		room += free.count * free.each(demand)
	}
	return room
}

// each is how many Pods fit on each of the nodes.
func (n *nodes) each(demand *Demand) int64 {
	fit := n.resources.times(demand.each)
	if fit > 0 && len(demand.ports) > 0 {
		fit = 1
		for _, port := range demand.ports {
			if n.ports.CheckConflict(port.HostIP, string(port.Protocol), port.HostPort) {
				return 0
			}
		}
	}
	if demand.alone {
		return min(fit, 1)
	}
	return fit
}

func (c *class) admits(demand *Demand) bool { return c.matches(demand) && c.tolerated(demand) }

// matches reports whether the Pod selects the nodes.
func (c *class) matches(demand *Demand) bool {
	for key, value := range demand.selector {
		if c.node.Labels[key] != value {
			return false
		}
	}
	return demand.affinity == nil || demand.affinity.Match(c.node)
}

func (c *class) tolerated(demand *Demand) bool {
	_, untolerated := v1helper.FindMatchingUntoleratedTaint(klog.Logger{}, c.node.Spec.Taints, demand.tolerations, keepsPodsOff, true)
	return !untolerated
}

func keepsPodsOff(taint *corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
}

// Less reports whether other has more of some resource free, or leaves more of
// some quota.
func (s *Summary) Less(other *Summary) bool {
	if s == nil || other == nil {
		return other != nil
	}
	for name, amount := range other.total {
		if amount > s.total[name] {
			return true
		}
	}
	return quotasLess(s.quotas, other.quotas)
}
