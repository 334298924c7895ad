// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/discovery"
)

// What a member has that nobody hears from is shown as a cluster shows what is on a node
// that its control plane has lost: Pods are not ready, whatever they do.
//
//	seen:  Pod x of member a, ready ──┐
//	                                  ├──► shown: Pod x, not ready
//	lost:  a, since ten o'clock ──────┘
//
// What was seen is kept beside what is shown as long as the member is lost, and shown
// again when it is found. Nothing is asked of the member, and nothing is written.

// turn takes in whether nobody hears from a member. What is shown of it becomes what it
// is to be with reshow.
func (u *union) turn(member Cluster) {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, lost := u.lost[member.Name]
	switch {
	case u.lose == nil || lost == (member.Unready != ""):
		return
	case lost:
		delete(u.lost, member.Name)
	default:
		u.lost[member.Name] = member
	}
	if keys := u.keys[member.Name]; len(keys) > 0 {
		u.turned[member.Name] = maps.Clone(keys)
	}
}

// hasTurned says whether reshow has something to do.
func (u *union) hasTurned(member string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.turned[member]) > 0
}

// reshow shows some of what a member has that turned.
func (u *union) reshow(member string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var changes []change
	for key := range u.turned[member] {
		if len(changes) == chunk {
			break
		}
		delete(u.turned[member], key)
		changes = append(changes, u.reshowOne(member, key)...)
	}
	if len(u.turned[member]) == 0 {
		delete(u.turned, member)
	}
	u.commit(changes)
}

func (u *union) reshowOne(member, key string) []change {
	at := u.claims.get(key, member)
	switch {
	case at == nil:
		return nil
	case u.merge != nil:
		u.unmerge(key)
		return nil
	case at.shown == nil:
		return nil
	}
	old, marked := at.shown, at.shown.Object != at.object
	if _, lost := u.lost[member]; lost == marked {
		return nil
	}
	if marked {
		at.object = shallowCopy(at.object) // it was served before, with another version
	}
	next := u.look(at)
	if next == old.Object {
		return nil // it says nothing that may not be so any more
	}
	at.shown = show(old.Key, next, u.advance())
	return []change{{ResourceVersion: at.shown.ResourceVersion, Old: old, Next: at.shown}}
}

// look is what an object is to be shown as: itself, or a copy if its member is lost.
func (u *union) look(at *claimant) runtime.Object {
	member, lost := u.lost[at.member]
	if !lost {
		return at.object
	}
	marked := shallowCopy(at.object)
	if !u.lose(marked, member) {
		return at.object
	}
	return marked
}

// reasonUnreachable is the reason of what is shown of a member that is lost.
const reasonUnreachable = "ClusterUnreachable"

// whyLength is how many bytes of why a member is lost are told of each of its objects. In
// Pull mode they are the member's own words.
const whyLength = 256

func unreachable(member Cluster) string {
	why := member.Unready
	if len(why) > whyLength {
		why = strings.ToValidUTF8(why[:whyLength], "") + "..."
	}
	return fmt.Sprintf("cluster %q is lost since %s: %s", member.Name, member.Since.UTC().Format(time.RFC3339), why)
}

// losePod has a Pod be not ready, as the node lifecycle controller does for Pods on nodes
// that do not report.
func losePod(object runtime.Object, member Cluster) bool {
	pod, ok := object.(*core.Pod)
	if !ok {
		return false
	}
	at := slices.IndexFunc(pod.Status.Conditions, func(c core.PodCondition) bool { return c.Type == core.PodReady })
	if at < 0 || pod.Status.Conditions[at].Status == core.ConditionFalse {
		return false
	}
	pod.Status.Conditions = slices.Clone(pod.Status.Conditions)
	ready := &pod.Status.Conditions[at]
	ready.Status, ready.LastTransitionTime = core.ConditionFalse, metav1.NewTime(member.Since)
	ready.Reason, ready.Message = reasonUnreachable, unreachable(member)
	return true
}

// reasonNodeUnknown is upstream's for Nodes that do not report.
const reasonNodeUnknown = "NodeStatusUnknown"

// kubeletConditions are those a kubelet reports, and upstream makes unknown when it does
// not.
var kubeletConditions = []core.NodeConditionType{
	core.NodeReady, core.NodeMemoryPressure, core.NodeDiskPressure, core.NodeConditionType(corev1.NodePIDPressure),
}

// loseNode has what the kubelet says of its Node be unknown, as the node lifecycle
// controller does.
func loseNode(object runtime.Object, member Cluster) bool {
	node, ok := object.(*core.Node)
	if !ok {
		return false
	}
	node.Status.Conditions = slices.Clone(node.Status.Conditions)
	lost := false
	for i := range node.Status.Conditions {
		condition := &node.Status.Conditions[i]
		if condition.Status == core.ConditionUnknown || !slices.Contains(kubeletConditions, condition.Type) {
			continue
		}
		condition.Status, condition.LastTransitionTime = core.ConditionUnknown, metav1.NewTime(member.Since)
		condition.Reason, condition.Message = reasonNodeUnknown, unreachable(member)
		lost = true
	}
	return lost
}

// loseSlice has endpoints be not ready, as they are in a cluster once their Pods are not.
func loseSlice(object runtime.Object, _ Cluster) bool {
	slice, ok := object.(*discovery.EndpointSlice)
	if !ok || len(slice.Endpoints) == 0 {
		return false
	}
	slice.Endpoints = slices.Clone(slice.Endpoints)
	for i := range slice.Endpoints {
		conditions := &slice.Endpoints[i].Conditions
		conditions.Ready, conditions.Serving = new(bool), new(bool)
	}
	return true
}

// loseEndpoints has addresses be not ready.
func loseEndpoints(object runtime.Object, _ Cluster) bool {
	endpoints, ok := object.(*core.Endpoints)
	if !ok {
		return false
	}
	endpoints.Subsets = slices.Clone(endpoints.Subsets)
	lost := false
	for i := range endpoints.Subsets {
		subset := &endpoints.Subsets[i]
		lost = lost || len(subset.Addresses) > 0
		subset.NotReadyAddresses, subset.Addresses = slices.Concat(subset.NotReadyAddresses, subset.Addresses), nil
	}
	return lost
}
