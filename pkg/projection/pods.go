// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Pods are the Pods that members made of the fleet's workloads. Those that are
// templates themselves are stored in the fleet, and show what their copies in members
// have come to.
func Pods(templates Templates) Kind {
	return Kind{
		Resource:   corev1.SchemeGroupVersion.WithResource("pods"),
		Kind:       "Pod",
		Namespaced: true,
		Owner:      podOwner,
		References: jobReferences(templates),
		SetOwner:   showOwner,
		// The stamp in the Pod template, or of a Pod that is one itself.
		Selector: wellknown.LabelTemplate,
		New:      func() runtime.Object { return &corev1.Pod{} },
		NewList:  func() runtime.Object { return &corev1.PodList{} },
		Project:  projectPod,
		Lost:     losePod,
		CopyOf:   podCopyOf,
		Complete: completePod,
		Bare:     barePod,
		InCopy:   map[string]func(stored, updated runtime.Object){"ephemeralcontainers": nil, "resize": storeResources},
		Own:      ownPod,
	}
}

// podCopyOf is the uid of the fleet's Pod that a syncer made a Pod of. It is the stamp of
// such a Pod; of a workload's, whatever its Pod template says, that is a hash.
func podCopyOf(object runtime.Object) types.UID {
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Labels[wellknown.LabelManagedBy] == "" || pod.Labels[wellknown.LabelTemplate] != pod.Annotations[wellknown.AnnotationTemplateUID] {
		return ""
	}
	return types.UID(pod.Annotations[wellknown.AnnotationTemplateUID])
}

// storeResources takes over what a resize changed.
func storeResources(stored, updated runtime.Object) {
	pod, ok := stored.(*core.Pod)
	from, isPod := updated.(*core.Pod)
	if !ok || !isPod {
		return
	}
	pod.Generation = from.Generation
	pod.Spec.Resources = from.Spec.Resources
	for _, containers := range [][2][]core.Container{
		{pod.Spec.Containers, from.Spec.Containers}, {pod.Spec.InitContainers, from.Spec.InitContainers},
	} {
		for i := range min(len(containers[0]), len(containers[1])) {
			containers[0][i].Resources = containers[1][i].Resources
		}
	}
}

func projectPod(member string, object runtime.Object) bool {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return false
	}
	pod.Spec.NodeName = NodeName(member, pod.Spec.NodeName)
	pod.Status.NominatedNodeName = NodeName(member, pod.Status.NominatedNodeName)
	return true
}

// NodeName is the fleet's name of a member's Node, <node>.<member>, empty for
// none.
func NodeName(member, node string) string {
	if node == "" {
		return ""
	}
	return node + "." + member
}

// Errors of changes that only the member can make.
var (
	errMoved  = errors.New("the label " + wellknown.LabelCluster + " says where the object is and cannot be changed")
	errOwners = errors.New("the owners of the object are in its member and cannot be changed in the fleet")
	errNode   = errors.New("the node of the object is the member's decision")
)

func ownPod(before, after runtime.Object) error {
	old, ok := before.(*corev1.Pod)
	updated, isPod := after.(*corev1.Pod)
	switch {
	case !ok || !isPod:
		return errors.New("the object is no Pod")
	case old.Spec.NodeName != updated.Spec.NodeName || old.Status.NominatedNodeName != updated.Status.NominatedNodeName:
		return errNode
	default:
		return ownMetadata(old, updated)
	}
}

// ownMetadata says why a change of metadata cannot be made in the member.
func ownMetadata(before, after metav1.Object) error {
	switch {
	case before.GetLabels()[wellknown.LabelCluster] != after.GetLabels()[wellknown.LabelCluster]:
		return errMoved
	case !equality.Semantic.DeepEqual(before.GetOwnerReferences(), after.GetOwnerReferences()):
		return errOwners
	}
	return nil
}
