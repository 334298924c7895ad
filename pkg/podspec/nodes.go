// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Nodes are the nodes that a Pod asks for by name. In the fleet a Node is called
// <node>.<member>, and so is the host name in its labels. A name that ends in no
// member's name is taken for one that any member may have.
type Nodes struct {
	// Bound is the name of the node that the Pod itself is bound to, which has to be in
	// some member. Empty for none.
	Bound string
	// Alternatives are what one node has to answer to: of every list of at least one of
	// them, one of the names. Without any, all nodes do.
	Alternatives [][][]string
}

// NodesOf returns the nodes that a Pod asks for by name, nil when it does not.
func NodesOf(spec *corev1.PodSpec) *Nodes {
	var always [][]string
	if spec.NodeName != "" {
		always = append(always, []string{spec.NodeName})
	}
	if name, ok := spec.NodeSelector[corev1.LabelHostname]; ok {
		always = append(always, []string{name})
	}
	var terms []corev1.NodeSelectorTerm
	if spec.Affinity != nil && spec.Affinity.NodeAffinity != nil && spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		terms = spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	if len(terms) == 0 {
		terms = []corev1.NodeSelectorTerm{{}}
	}
	nodes := &Nodes{}
	for i := range terms {
		lists := slices.Concat(always, listsIn(terms[i].MatchExpressions, corev1.LabelHostname), listsIn(terms[i].MatchFields, metav1.ObjectNameField))
		if len(lists) == 0 {
			return nil // any node may do
		}
		nodes.Alternatives = append(nodes.Alternatives, lists)
	}
	return nodes
}

// listsIn returns the lists of names of which a node is to have one.
func listsIn(requirements []corev1.NodeSelectorRequirement, key string) [][]string {
	var lists [][]string
	for i := range requirements {
		if requirements[i].Key == key && requirements[i].Operator == corev1.NodeSelectorOpIn {
			lists = append(lists, requirements[i].Values)
		}
	}
	return lists
}

// In says whether a member may have one of the nodes. Which names are those of members
// is told by the function.
func (n *Nodes) In(member string, isMember func(string) bool) bool {
	if n == nil {
		return true
	}
	if n.Bound != "" && MemberOfNode(n.Bound) != member {
		return false
	}
	may := func(name string) bool {
		of := MemberOfNode(name)
		return of == member || !isMember(of)
	}
	every := func(lists [][]string) bool {
		return !slices.ContainsFunc(lists, func(names []string) bool { return !slices.ContainsFunc(names, may) })
	}
	return len(n.Alternatives) == 0 || slices.ContainsFunc(n.Alternatives, every)
}

// MemberOfNode returns what is the member in a Node's name in the fleet, empty when it has none.
func MemberOfNode(name string) string {
	at := strings.LastIndexByte(name, '.')
	if at <= 0 {
		return ""
	}
	return name[at+1:]
}

// NodeIn returns the name in the member of a Node of the fleet, and false for one that
// is not that member's.
func NodeIn(member, name string) (string, bool) {
	node, ok := strings.CutSuffix(name, "."+member)
	return node, ok && node != "" && member != ""
}
