// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
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

// Members returns those of the members that may have one of the nodes, nil for all.
func (n *Nodes) Members(members sets.Set[string]) sets.Set[string] {
	if n == nil {
		return nil
	}
	var may sets.Set[string] // of all alternatives
	for i, lists := range n.Alternatives {
		of := membersOfAll(lists, members)
		if of == nil {
			may = nil
			break
		}
		if i == 0 {
			may = sets.New[string]()
		}
		may = may.Union(of)
	}
	if n.Bound == "" {
		return may
	}
	if member := MemberOfNode(n.Bound); members.Has(member) && (may == nil || may.Has(member)) {
		return sets.New(member)
	}
	return sets.New[string]()
}

// membersOfAll returns the members that may have a node with a name of every list, nil
// for all.
func membersOfAll(lists [][]string, members sets.Set[string]) sets.Set[string] {
	var may sets.Set[string]
	for _, names := range lists {
		of := membersOf(names, members)
		switch {
		case of == nil:
		case may == nil:
			may = of
		default:
			may = may.Intersection(of)
		}
	}
	return may
}

// membersOf returns the members that may have a node of one of the names, nil for all.
func membersOf(names []string, members sets.Set[string]) sets.Set[string] {
	may := sets.New[string]()
	for _, name := range names {
		member := MemberOfNode(name)
		if !members.Has(member) {
			return nil
		}
		may.Insert(member)
	}
	return may
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
