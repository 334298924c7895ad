// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	v1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// Summary is what is free in a member. Nil when it reported nothing yet.
//
// What was taken from it is counted when somebody asks first: most decisions take
// from many members and look at few. It is safe for concurrent use.
type Summary struct {
	reported *state
	// from and load are what a summary that was taken from is made of.
	from *Summary
	load Load
	// counted is what it comes to, nil until somebody asks.
	counted atomic.Pointer[state]
}

// state is what a summary counts.
type state struct {
	classes []class
	quotas  map[string][]quota // by namespace
	total   vector
	// reported is what there was before anything was taken, nil when nothing was,
	// taken what it was.
	reported *state
	taken    []taken
}

// state counts what was taken, in the order in which it was. Who asks at the same
// time counts the same.
func (s *Summary) state() *state {
	var pending []Load
	at := s
	for ; at.from != nil && at.counted.Load() == nil; at = at.from {
		pending = append(pending, at.load)
	}
	counted := at.counted.Load()
	if counted == nil {
		counted = at.reported
	}
	for _, load := range slices.Backward(pending) {
		counted = counted.take(load)
	}
	if len(pending) > 0 {
		s.counted.Store(counted)
	}
	return counted
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
	resources vector
	ports     fwk.HostPortInfo
}

// Summarize prepares what a member reports for counting.
func Summarize(status *clusterv1alpha1.ClusterStatus) *Summary {
	if status.Capacity == nil || len(status.Capacity.Classes) == 0 {
		return nil
	}
	summary := &state{quotas: quotasOf(status.Capacity.Quotas)}
	for _, from := range status.Capacity.Classes {
		c := class{node: &corev1.Node{}, nodes: int64(from.Nodes)}
		c.node.Labels = from.Labels
		c.node.Spec.Taints = from.Taints
		for _, entry := range from.Free {
			free := nodes{count: int64(entry.Count), resources: newVector(entry.Resources), ports: portsOf(entry.HostPorts)}
			c.free = append(c.free, free)
			summary.total = summary.total.add(free.resources, free.count)
		}
		summary.classes = append(summary.classes, c)
	}
	return &Summary{reported: summary}
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
	if s == nil {
		return true
	}
	// Which nodes there are does not depend on what was taken.
	return slices.ContainsFunc(s.reported.classes, func(c class) bool { return len(c.free) > 0 && c.admits(demand) && c.inTopology(demand) })
}

// Room is how many more replicas fit where current run already, if the member puts
// what was promised to it where Take expects it to. Without a report it is 0.
func (s *Summary) Room(demand *Demand, current int32) int32 {
	if s == nil {
		return 0
	}
	return s.state().room(demand, current)
}

func (s *state) room(demand *Demand, current int32) int32 {
	return int32(min(s.onNodes(demand, current), s.quotaRoom(demand), math.MaxInt32))
}

// onNodes is the room that nodes leave.
func (s *state) onNodes(demand *Demand, current int32) (room int64) {
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
func (s *state) best(demand *Demand) (most int64) {
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
	before, after := s.state(), other.state()
	for id, amount := range after.total {
		if amount > before.total.at(resourceID(id)) {
			return true
		}
	}
	return quotasLess(before.quotas, after.quotas)
}
