// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Pods are the Pods that members made of the fleet's workloads.
func Pods(templates Templates) Kind {
	return Kind{
		Resource:   corev1.SchemeGroupVersion.WithResource("pods"),
		Kind:       "Pod",
		Namespaced: true,
		Owner:      podOwner,
		References: jobReferences(templates),
		SetOwner:   showOwner,
		// The stamp in the Pod template. A Pod that is a template itself has none: it is
		// stored in the fleet.
		Selector: wellknown.LabelTemplate,
		New:      func() runtime.Object { return &corev1.Pod{} },
		NewList:  func() runtime.Object { return &corev1.PodList{} },
		Project:  projectPod,
		Own:      ownPod,
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
