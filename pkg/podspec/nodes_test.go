// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// required is a Pod that requires one of some terms of its node.
func required(terms ...corev1.NodeSelectorTerm) corev1.PodSpec {
	return corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}}
}

func expression(operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: operator, Values: values}}}
}

func field(name string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{name}}}}
}

func TestNodes(t *testing.T) {
	hostname := func(name string) corev1.PodSpec {
		return corev1.PodSpec{NodeSelector: map[string]string{corev1.LabelHostname: name}}
	}
	both := required(expression(corev1.NodeSelectorOpIn, "n1.a", "n1.b"))
	both.NodeSelector = map[string]string{corev1.LabelHostname: "n1.b"}
	cases := map[string]struct {
		reason string
		spec   corev1.PodSpec
		bound  string
		want   []string
	}{
		"None":          {reason: "A Pod that names no node may go anywhere.", want: []string{"a", "b", "c"}},
		"Selector":      {reason: "The member has the Node.", spec: hostname("n1.a"), want: []string{"a"}},
		"Dots":          {reason: "A node's name may have dots, a member's has none.", spec: hostname("n1.example.org.b"), want: []string{"b"}},
		"Unqualified":   {reason: "A name without a member's is that of a node in any.", spec: hostname("n1"), want: []string{"a", "b", "c"}},
		"Foreign":       {reason: "A name that ends in no member's name is, too.", spec: hostname("ip-1.ec2.internal"), want: []string{"a", "b", "c"}},
		"NoNode":        {reason: "There is no node without a name.", spec: hostname(".a"), want: []string{"a", "b", "c"}},
		"In":            {reason: "Any of the values will do.", spec: required(expression(corev1.NodeSelectorOpIn, "n1.a", "n2.c")), want: []string{"a", "c"}},
		"NotIn":         {reason: "There may be other nodes.", spec: required(expression(corev1.NodeSelectorOpNotIn, "n1.a")), want: []string{"a", "b", "c"}},
		"Exists":        {reason: "Every node has a name.", spec: required(expression(corev1.NodeSelectorOpExists)), want: []string{"a", "b", "c"}},
		"Field":         {reason: "The name as a field.", spec: required(field("n1.b")), want: []string{"b"}},
		"Alternatives":  {reason: "Any of the terms will do.", spec: required(field("n1.b"), expression(corev1.NodeSelectorOpIn, "n1.c")), want: []string{"b", "c"}},
		"AnyOther":      {reason: "One of the terms names no node.", spec: required(field("n1.b"), corev1.NodeSelectorTerm{}), want: []string{"a", "b", "c"}},
		"Both":          {reason: "Selector and affinity have to agree.", spec: both, want: []string{"b"}},
		"Contradiction": {reason: "A node has one name.", spec: required(corev1.NodeSelectorTerm{MatchFields: append(field("n1.a").MatchFields, field("n1.b").MatchFields...)})},
		"Template":      {reason: "A Pod template that names its node.", spec: corev1.PodSpec{NodeName: "n1.c"}, want: []string{"c"}},
		"Bound":         {reason: "A Pod that is bound to a node runs there.", spec: corev1.PodSpec{NodeName: "n1.c"}, bound: "n1.c", want: []string{"c"}},
		"BoundNowhere":  {reason: "The fleet has no such Node.", spec: corev1.PodSpec{NodeName: "n1"}, bound: "n1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			nodes := NodesOf(&tc.spec)
			if tc.bound != "" {
				nodes.Bound = tc.bound
			}
			members := sets.New("a", "b", "c")
			got := nodes.Members(members)
			if got == nil {
				got = members
			}
			if diff := cmp.Diff(tc.want, sets.List(got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("\n%s\nmembers that may have it: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNodeIn(t *testing.T) {
	cases := map[string]struct {
		reason, member, name, want string
	}{
		"Its":       {reason: "The Node is the member's.", member: "a", name: "n1.x.a", want: "n1.x"},
		"Other":     {reason: "The Node is another member's.", member: "b", name: "n1.a"},
		"NoNode":    {reason: "No node is called nothing.", member: "a", name: ".a"},
		"Same":      {reason: "A node may be called as its member is.", member: "a", name: "a"},
		"Ending":    {reason: "A name that ends alike is another one.", member: "a", name: "n1.ba"},
		"NoMembers": {reason: "Nothing is no member.", name: "n1."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := NodeIn(tc.member, tc.name)
			if ok != (tc.want != "") || ok && got != tc.want {
				t.Errorf("\n%s\nNodeIn(...): want %q, got %q, %t", tc.reason, tc.want, got, ok)
			}
		})
	}
}
