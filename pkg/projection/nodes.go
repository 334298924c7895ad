// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
)

// Nodes are all Nodes of members.
func Nodes() Kind {
	return Kind{
		Resource: corev1.SchemeGroupVersion.WithResource("nodes"),
		Kind:     "Node",
		Suffixed: true,
		New:      func() runtime.Object { return &corev1.Node{} },
		NewList:  func() runtime.Object { return &corev1.NodeList{} },
		Project:  projectNode,
		Lost:     loseNode,
		Own:      ownNode,
	}
}

// projectNode puts the fleet's name of the Node first among its addresses: the API
// server reaches its Pods by it (see Kubelets). Addresses of members may be the same. So
// may host names, by which Pods choose nodes: they end in the member's name, too.
func projectNode(member string, object runtime.Object) bool {
	node, ok := object.(*corev1.Node)
	if !ok {
		return false
	}
	name := corev1.NodeAddress{Type: AddressType, Address: NodeName(member, node.Name)}
	node.Status.Addresses = slices.Insert(node.Status.Addresses, 0, name)
	if host, ok := node.Labels[corev1.LabelHostname]; ok {
		node.Labels[corev1.LabelHostname] = hostName(member, host)
	}
	return true
}

// hostName is what the fleet's label of a Node says for a host name in its member. Where
// both together are too long for a label, it is the member's.
func hostName(member, host string) string {
	if name := NodeName(member, host); len(name) <= content.LabelValueMaxLength {
		return name
	}
	return host
}

// AddressType is that of the address by which the API server reaches a Node of a
// member.
const AddressType corev1.NodeAddressType = "fleet.dev/Member"

func ownNode(before, after runtime.Object) error {
	old, ok := before.(*corev1.Node)
	updated, isNode := after.(*corev1.Node)
	switch {
	case !ok || !isNode:
		return errors.New("the object is no Node")
	case !slices.Equal(old.Status.Addresses, updated.Status.Addresses):
		return errors.New("the addresses of the Node are the member's")
	case old.Labels[corev1.LabelHostname] != updated.Labels[corev1.LabelHostname]:
		return errors.New("the host name of the Node is the member's")
	default:
		return ownMetadata(old, updated)
	}
}
