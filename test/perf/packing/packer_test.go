// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package packing

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	v1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	schedutil "k8s.io/kubernetes/pkg/scheduler/util"
)

// packer knows every node and Pod of a member.
type packer struct {
	nodes []corev1.Node
	pods  []corev1.Pod
}

// fits is how many Pods of a new workload would find a node.
func (p packer) fits(pod *corev1.Pod) (n int64) {
	zones := map[string]int64{}
	for i := range p.nodes {
		node := &p.nodes[i]
		zone := node.Labels[corev1.LabelTopologyZone]
		if !selects(pod, node) {
			continue
		}
		// Nodes with taints are domains too, by upstream's default.
		zones[zone] += p.on(pod, node)
		n += p.on(pod, node)
	}
	if len(pod.Spec.TopologySpreadConstraints) == 0 {
		return n
	}
	least := int64(math.MaxInt64)
	for _, room := range zones {
		least = min(least, room)
	}
	n = 0
	for _, room := range zones {
		n += min(room, least+int64(pod.Spec.TopologySpreadConstraints[0].MaxSkew))
	}
	return n
}

func selects(pod *corev1.Pod, node *corev1.Node) bool {
	for key, value := range pod.Spec.NodeSelector {
		if node.Labels[key] != value {
			return false
		}
	}
	return true
}

// on is how many of the Pods fit on a node.
func (p packer) on(pod *corev1.Pod, node *corev1.Node) int64 {
	if _, untolerated := v1helper.FindMatchingUntoleratedTaint(klog.Logger{}, node.Spec.Taints, pod.Spec.Tolerations, func(taint *corev1.Taint) bool {
		return taint.Effect != corev1.TaintEffectPreferNoSchedule
	}, true); untolerated {
		return 0
	}
	free := node.Status.Allocatable.DeepCopy()
	most := int64(math.MaxInt64)
	for i := range p.pods {
		if p.pods[i].Spec.NodeName != node.Name {
			continue
		}
		if taken := p.take(free, &p.pods[i], pod); taken {
			most = 0
		}
	}
	if pod.Spec.Affinity != nil || len(schedutil.GetHostPorts(pod)) > 0 {
		most = min(most, 1)
	}
	for name, wanted := range requestsOf(pod) {
		left := free[name]
		if wanted.MilliValue() > 0 {
			most = min(most, max(left.MilliValue(), 0)/wanted.MilliValue())
		}
	}
	return most
}

// take takes from what is free what a Pod holds, and returns true when it holds a
// port that the new one wants.
func (packer) take(free corev1.ResourceList, running, pod *corev1.Pod) (conflict bool) {
	for name, held := range requestsOf(running) {
		left := free[name]
		left.Sub(held)
		free[name] = left
	}
	for _, a := range schedutil.GetHostPorts(running) {
		for _, b := range schedutil.GetHostPorts(pod) {
			conflict = conflict || a.HostPort == b.HostPort
		}
	}
	return conflict
}

func requestsOf(pod *corev1.Pod) corev1.ResourceList {
	defaulted := pod.DeepCopy()
	for i := range defaulted.Spec.Containers {
		resources := &defaulted.Spec.Containers[i].Resources
		if resources.Requests == nil {
			resources.Requests = resources.Limits
		}
	}
	requests := resourcehelper.PodRequests(defaulted, resourcehelper.PodResourcesOptions{})
	requests[corev1.ResourcePods] = *onePod
	return requests
}
