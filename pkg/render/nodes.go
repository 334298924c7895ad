// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/podspec"
)

// nodeNames goes through what names nodes in a Pod spec, and puts what the function
// returns in its place: spec.nodeName, and values of selectors and of node affinity, which
// is required or preferred, that are about the name or the host name of a node.
func nodeNames(spec map[string]any, change func(name string) string) {
	changeAt(spec, "nodeName", change)
	changeAt(mapAt(spec, "nodeSelector"), corev1.LabelHostname, change)
	affinity := mapAt(spec, "affinity", "nodeAffinity")
	if affinity == nil {
		return
	}
	terms := mapsIn(mapAt(affinity, "requiredDuringSchedulingIgnoredDuringExecution"), "nodeSelectorTerms")
	for _, preferred := range mapsIn(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
		terms = append(terms, mapAt(preferred, "preference"))
	}
	for _, term := range terms {
		changeValues(mapsIn(term, "matchExpressions"), corev1.LabelHostname, change)
		changeValues(mapsIn(term, "matchFields"), metav1.ObjectNameField, change)
	}
}

func changeAt(object map[string]any, key string, change func(string) string) {
	if name, ok := object[key].(string); ok {
		object[key] = change(name)
	}
}

// changeValues changes the values of requirements about a key.
func changeValues(requirements []map[string]any, key string, change func(string) string) {
	for _, requirement := range requirements {
		values, _ := requirement["values"].([]any)
		for i := range values {
			if name, ok := values[i].(string); ok && requirement["key"] == key {
				values[i] = change(name)
			}
		}
	}
}

// mapsIn returns the maps in the list that is a field of an object.
func mapsIn(object map[string]any, field string) []map[string]any {
	if object == nil {
		return nil
	}
	return mapsAt(object, field)
}

// membersNamed returns the members that names of nodes in a Pod spec may be in.
func membersNamed(spec map[string]any) map[string]bool {
	var members map[string]bool
	nodeNames(spec, func(name string) string {
		if member := podspec.MemberOfNode(name); member != "" {
			if members == nil {
				members = map[string]bool{}
			}
			members[member] = true
		}
		return name
	})
	return members
}

// nameNodes has a manifest call the nodes of its member, which the fleet calls
// <node>.<member>, as the member does. Names of other members' nodes stay: it has none
// that is called so. A Pod is bound to the node it asks for, and to none of another
// cluster.
func nameNodes(object map[string]any, template *Template, cluster string) {
	spec := podSpec(object, template.kind)
	if spec == nil || !template.members[cluster] {
		return
	}
	if _, ok := podspec.NodeIn(cluster, template.node); ok {
		spec["nodeName"] = template.node
	}
	nodeNames(spec, func(name string) string {
		if node, ok := podspec.NodeIn(cluster, name); ok {
			return node
		}
		return name
	})
}
