// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package affinity

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
)

func TestMatches(t *testing.T) {
	member := &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "m1", Labels: map[string]string{"env": "prod"}},
		Spec:       clusterv1alpha1.ClusterSpec{Provider: "acme", Region: "eu", Zones: []string{"eu-1", "eu-2"}},
	}
	field := func(key string, operator corev1.NodeSelectorOperator, values ...string) *policyv1alpha1.ClusterAffinity {
		return &policyv1alpha1.ClusterAffinity{FieldSelector: &policyv1alpha1.FieldSelector{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: operator, Values: values}},
		}}
	}
	cases := map[string]struct {
		reason   string
		affinity *policyv1alpha1.ClusterAffinity
		want     bool
	}{
		"Nil":            {reason: "No affinity selects all.", want: true},
		"Empty":          {reason: "An affinity without parts selects all.", affinity: &policyv1alpha1.ClusterAffinity{}, want: true},
		"Named":          {reason: "A named member is in.", affinity: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m1"}}, want: true},
		"OtherNamed":     {reason: "Names leave the others out.", affinity: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m2"}}},
		"Excluded":       {reason: "Exclusion beats inclusion.", affinity: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m1"}, Exclude: []string{"m1"}}},
		"Labels":         {reason: "Labels of the Cluster are matched.", affinity: &policyv1alpha1.ClusterAffinity{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}}, want: true},
		"OtherLabels":    {reason: "A label of another value is no match.", affinity: &policyv1alpha1.ClusterAffinity{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "dev"}}}},
		"Provider":       {reason: "The provider is matched.", affinity: field("provider", corev1.NodeSelectorOpIn, "acme"), want: true},
		"RegionNotIn":    {reason: "NotIn leaves the region out.", affinity: field("region", corev1.NodeSelectorOpNotIn, "eu")},
		"AllZonesIn":     {reason: "In needs every zone.", affinity: field("zone", corev1.NodeSelectorOpIn, "eu-1", "eu-2", "eu-3"), want: true},
		"OneZoneMissing": {reason: "One zone that is not among the values is enough to be out.", affinity: field("zone", corev1.NodeSelectorOpIn, "eu-1")},
		"AnyZoneNotIn":   {reason: "NotIn refuses when any zone is among the values.", affinity: field("zone", corev1.NodeSelectorOpNotIn, "eu-2")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			compiled, err := Compile(tc.affinity)
			if err != nil {
				t.Fatalf("\n%s\nCompile(...): unexpected error: %v", tc.reason, err)
			}
			if got := compiled.Matches(member); got != tc.want {
				t.Errorf("\n%s\nMatches(...): want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}

func TestMatchesExpression(t *testing.T) {
	compiled, err := Compile(&policyv1alpha1.ClusterAffinity{Exclude: []string{"m2"}, Expression: `int(cluster.metadata.labels["size"]) > 3`})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		name   string
		size   string
		want   bool
	}{
		"Large":    {reason: "The expression holds.", name: "m1", size: "5", want: true},
		"Small":    {reason: "It does not.", name: "m1", size: "2"},
		"Excluded": {reason: "All parts have to hold.", name: "m2", size: "5"},
		"NoNumber": {reason: "It makes no sense for the member.", name: "m1", size: "x"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			member := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: tc.name, Labels: map[string]string{"size": tc.size}}}
			if got := compiled.Matches(member); got != tc.want {
				t.Errorf("\n%s\nMatches(...): want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}

// TestMatchesObservedPlace has members selected by what their nodes say where
// nobody said more.
func TestMatchesObservedPlace(t *testing.T) {
	compiled, err := Compile(&policyv1alpha1.ClusterAffinity{FieldSelector: &policyv1alpha1.FieldSelector{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "provider", Operator: corev1.NodeSelectorOpIn, Values: []string{"aws"}},
		{Key: "region", Operator: corev1.NodeSelectorOpIn, Values: []string{"eu"}},
		{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"eu-1"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	member := &clusterv1alpha1.Cluster{Status: clusterv1alpha1.ClusterStatus{Provider: "aws", Region: "eu", Zones: []string{"eu-1"}}}
	if !compiled.Matches(member) {
		t.Error("a member whose nodes are there is not selected")
	}
	member.Spec.Region = "us"
	if compiled.Matches(member) {
		t.Error("a member whose administrator says it is elsewhere is selected")
	}
}

func TestCompileErrors(t *testing.T) {
	cases := map[string]struct {
		reason   string
		affinity *policyv1alpha1.ClusterAffinity
	}{
		"Expression": {
			reason:   "An expression is compiled, and refused when it makes no sense.",
			affinity: &policyv1alpha1.ClusterAffinity{Expression: "cluster.spec.planet"},
		},
		"UnknownKey": {
			reason: "A field that does not exist is refused.",
			affinity: &policyv1alpha1.ClusterAffinity{FieldSelector: &policyv1alpha1.FieldSelector{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "planet", Operator: corev1.NodeSelectorOpIn}},
			}},
		},
		"UnknownOperator": {
			reason: "An operator that does not exist is refused.",
			affinity: &policyv1alpha1.ClusterAffinity{FieldSelector: &policyv1alpha1.FieldSelector{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "region", Operator: corev1.NodeSelectorOpGt}},
			}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := Compile(tc.affinity); err == nil {
				t.Errorf("\n%s\nCompile(...): want an error", tc.reason)
			}
		})
	}
}

func TestAnd(t *testing.T) {
	member := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1", Labels: map[string]string{"env": "prod"}}}
	named, err := Compile(&policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m1"}})
	if err != nil {
		t.Fatal(err)
	}
	production, err := ForLabels("env=prod")
	if err != nil {
		t.Fatal(err)
	}
	development, err := ForLabels("env=dev")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason   string
		affinity *Affinity
		want     bool
	}{
		"Both":      {reason: "A member that both select is in.", affinity: named.And(production), want: true},
		"OnlyFirst": {reason: "A member the second does not select is out.", affinity: named.And(development)},
		"Chained":   {reason: "All of a chain have to select it.", affinity: named.And(production).And(development)},
		"NilFirst":  {reason: "Nil narrows nothing.", affinity: (*Affinity)(nil).And(development)},
		"NilLast":   {reason: "Nil narrows nothing.", affinity: production.And(nil), want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.affinity.Matches(member); got != tc.want {
				t.Errorf("\n%s\nMatches(...): want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}
