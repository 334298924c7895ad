// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	schedutil "k8s.io/kubernetes/pkg/scheduler/util"

	"fleet.dev/fleet/pkg/apis/cluster/place"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// amounts are quantities of resources in whole units: millicores for cpu (that of quotas too), else
// the unit of the resource. It is a tenth of the size of a corev1.ResourceList.
type amounts map[corev1.ResourceName]int64

func amountsOf(list corev1.ResourceList) amounts {
	a := make(amounts, len(list))
	for name, quantity := range list {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU:
			a[name] = quantity.MilliValue()
		default:
			a[name] = quantity.Value()
		}
	}
	return a
}

func (a amounts) add(other amounts) {
	for name, amount := range other {
		a[name] += amount
	}
}

// list returns the amounts as quantities, memory and storage rounded down to
// whole MiB.
func (a amounts) list() corev1.ResourceList {
	const mebi = 1 << 20
	list := make(corev1.ResourceList, len(a))
	for name, amount := range a {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU:
			list[name] = *resource.NewMilliQuantity(amount, resource.DecimalSI)
		case corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
			list[name] = *resource.NewQuantity(amount-amount%mebi, resource.BinarySI)
		default:
			list[name] = *resource.NewQuantity(amount, resource.DecimalSI)
		}
	}
	return list
}

// node is a node of a member, as far as capacity goes.
type node struct {
	metav1.ObjectMeta
	taints      []corev1.Taint
	allocatable amounts
	ready       bool
	schedulable bool
	// provider is the scheme of its providerID.
	provider string
}

// cutNode cuts a node down.
func cutNode(object any) (*node, error) {
	switch object := object.(type) {
	case *node:
		return object, nil
	case *corev1.Node:
		n := &node{
			ObjectMeta:  metav1.ObjectMeta{Name: object.Name, UID: object.UID, ResourceVersion: object.ResourceVersion, Labels: object.Labels},
			taints:      object.Spec.Taints,
			allocatable: amountsOf(object.Status.Allocatable),
			schedulable: !object.Spec.Unschedulable,
			provider:    providerOf(object.Spec.ProviderID),
		}
		for _, condition := range object.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				n.ready = condition.Status == corev1.ConditionTrue
			}
		}
		return n, nil
	default:
		return nil, fmt.Errorf("read node: unexpected type %T", object)
	}
}

// same returns true when the nodes offer the same: heartbeats change nothing.
func (n *node) same(other *node) bool {
	return other != nil && n.ready == other.ready && n.schedulable == other.schedulable && n.provider == other.provider &&
		maps.Equal(n.allocatable, other.allocatable) && maps.Equal(n.Labels, other.Labels) &&
		slices.EqualFunc(n.taints, other.taints, func(x, y corev1.Taint) bool { return x.MatchTaint(&y) && x.Value == y.Value })
}

// pod is a Pod of a member, as far as capacity goes.
type pod struct {
	metav1.ObjectMeta
	node     string
	requests amounts
	ports    []clusterv1alpha1.HostPort
	// owner is what it belongs to, unschedulableSince when it was found to fit no
	// node, the zero time when it has one or may find one.
	owner              objectIdentity
	unschedulableSince time.Time
}

// cutPod cuts a Pod down.
func cutPod(object any) (*pod, error) {
	switch object := object.(type) {
	case *pod:
		return object, nil
	case *corev1.Pod:
		// As kube-scheduler counts them: what a resize has not given back yet is taken.
		requests := amountsOf(resourcehelper.PodRequests(object, resourcehelper.PodResourcesOptions{UseStatusResources: true}))
		requests[corev1.ResourcePods] = 1
		return &pod{
			ObjectMeta: metav1.ObjectMeta{Name: object.Name, Namespace: object.Namespace, UID: object.UID, ResourceVersion: object.ResourceVersion},
			node:       object.Spec.NodeName,
			requests:   requests,
			ports:      hostPorts(object),
			owner:      ownerOf(object),

			unschedulableSince: unschedulableSince(object),
		}, nil
	default:
		return nil, fmt.Errorf("read Pod: unexpected type %T", object)
	}
}

// same returns true when the Pods take the same.
func (p *pod) same(other *pod) bool {
	return other != nil && p.UID == other.UID && p.node == other.node && maps.Equal(p.requests, other.requests) && slices.Equal(p.ports, other.ports)
}

// hostPorts are the ports of its node that a Pod holds.
func hostPorts(of *corev1.Pod) []clusterv1alpha1.HostPort {
	var ports []clusterv1alpha1.HostPort
	for _, port := range schedutil.GetHostPorts(of) {
		ports = append(ports, clusterv1alpha1.HostPort{
			Port: port.HostPort, Protocol: cmp.Or(port.Protocol, corev1.ProtocolTCP), HostIP: port.HostIP,
		})
	}
	return ports
}

// summary is the capacity of a member.
type summary struct {
	nodes     clusterv1alpha1.NodeSummary
	resources clusterv1alpha1.ResourceSummary
	capacity  clusterv1alpha1.ClusterCapacity
	place     place.Place
}

// summarize adds up nodes and the Pods that have not ended.
func summarize(nodes []*node, pods []*pod, models []clusterv1alpha1.ResourceModel) summary {
	allocatable, allocated, allocating := amounts{}, amounts{}, amounts{}
	used, held := map[string]amounts{}, map[string][]clusterv1alpha1.HostPort{}
	for _, p := range pods {
		if p.node == "" {
			allocating.add(p.requests)
			continue
		}
		allocated.add(p.requests)
		if used[p.node] == nil {
			used[p.node] = amounts{}
		}
		used[p.node].add(p.requests)
		held[p.node] = append(held[p.node], p.ports...)
	}
	s := summary{place: placeOf(nodes)}
	classes := map[string]*class{}
	grades := make([]int32, len(models))
	for _, n := range nodes {
		s.nodes.TotalNum++
		if n.ready {
			s.nodes.ReadyNum++
		}
		class := classOf(classes, n)
		class.nodes++
		if !n.ready || !n.schedulable {
			continue
		}
		allocatable.add(n.allocatable)
		free := n.free(used[n.Name])
		class.take(free, held[n.Name])
		if grade := gradeOf(models, free); grade >= 0 {
			grades[grade]++
		}
	}
	s.resources = clusterv1alpha1.ResourceSummary{Allocatable: allocatable.list(), Allocated: allocated.list(), Allocating: allocating.list()}
	for i, count := range grades {
		s.resources.AllocatableModelings = append(s.resources.AllocatableModelings,
			clusterv1alpha1.AllocatableModeling{Grade: models[i].Grade, Count: count})
	}
	for _, name := range slices.Sorted(maps.Keys(classes)) {
		s.capacity.Classes = append(s.capacity.Classes, classes[name].export(name))
	}
	return s
}

// free returns what is left of a node, never less than nothing.
func (n *node) free(used amounts) amounts {
	free := amounts{}
	for name, amount := range n.allocatable {
		free[name] = max(0, amount-used[name])
	}
	return free
}

// gradeOf returns the index of the model whose ranges have the free resources,
// -1 when none has.
func gradeOf(models []clusterv1alpha1.ResourceModel, free amounts) int {
	// Grades rise: the first that is too big for one resource ends the search.
	for i, model := range slices.Backward(models) {
		if reaches(model, free) {
			return i
		}
	}
	return -1
}

func reaches(model clusterv1alpha1.ResourceModel, free amounts) bool {
	for _, limits := range model.Ranges {
		least := amountsOf(corev1.ResourceList{limits.Name: limits.Min})
		if free[limits.Name] < least[limits.Name] {
			return false
		}
	}
	return true
}

// class collects nodes that Pods cannot tell apart.
type class struct {
	labels map[string]string
	taints []corev1.Taint
	nodes  int32
	free   map[string]*clusterv1alpha1.FreeCapacity
}

// classOf returns the class of a node, a new one when it is the first of it.
func classOf(classes map[string]*class, n *node) *class {
	c := &class{labels: shared(n), taints: slices.Clone(n.taints), free: map[string]*clusterv1alpha1.FreeCapacity{}}
	for i := range c.taints {
		c.taints[i].TimeAdded = nil
	}
	slices.SortFunc(c.taints, func(x, y corev1.Taint) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), cmp.Compare(x.Effect, y.Effect), cmp.Compare(x.Value, y.Value))
	})
	name := c.name()
	if known, ok := classes[name]; ok {
		return known
	}
	classes[name] = c
	return c
}

// shared returns the labels of a node that do not name the node itself.
func shared(n *node) map[string]string {
	labels := maps.Clone(n.Labels)
	maps.DeleteFunc(labels, func(key, value string) bool { return key == corev1.LabelHostname || value == n.Name })
	return labels
}

// name is a hash of what makes the class.
func (c *class) name() string {
	hash := fnv.New64a()
	for _, key := range slices.Sorted(maps.Keys(c.labels)) {
		fmt.Fprintf(hash, "%s=%s\n", key, c.labels[key])
	}
	for _, taint := range c.taints {
		fmt.Fprintf(hash, "%s=%s:%s\n", taint.Key, taint.Value, taint.Effect)
	}
	return fmt.Sprintf("%016x", hash.Sum64())
}

// take counts a node that takes Pods, with so much left and the ports held.
func (c *class) take(free amounts, ports []clusterv1alpha1.HostPort) {
	list := free.list()
	slices.SortFunc(ports, func(a, b clusterv1alpha1.HostPort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostIP, b.HostIP))
	})
	ports = slices.Compact(ports)
	key := keyOf(list) + fmt.Sprint(ports)
	entry, ok := c.free[key]
	if !ok {
		entry = &clusterv1alpha1.FreeCapacity{Resources: list, HostPorts: ports}
		c.free[key] = entry
	}
	entry.Count++
}

// keyOf writes quantities in a canonical form.
func keyOf(list corev1.ResourceList) string {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(list)) {
		quantity := list[name]
		fmt.Fprintf(&key, "%s=%s ", name, quantity.String())
	}
	return key.String()
}

func (c *class) export(name string) clusterv1alpha1.CapacityClass {
	exported := clusterv1alpha1.CapacityClass{Name: name, Labels: c.labels, Taints: c.taints, Nodes: c.nodes}
	for _, key := range slices.Sorted(maps.Keys(c.free)) {
		exported.Free = append(exported.Free, *c.free[key])
	}
	return exported
}
