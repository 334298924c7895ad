// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package affinity

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/apis/cluster/place"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
)

// Affinity is a compiled ClusterAffinity. Nil matches every member.
type Affinity struct {
	names   sets.Set[string]
	exclude sets.Set[string]
	labels  labels.Selector
	fields  []requirement
	cel     *expression.Selector
	and     *Affinity
}

type requirement struct {
	key    string
	in     bool
	values sets.Set[string]
}

// Compile prepares an affinity for matching; nil stays nil. It fails on what
// validation of the API refuses.
func Compile(from *policyv1alpha1.ClusterAffinity) (*Affinity, error) {
	if from == nil {
		return nil, nil
	}
	compiled := &Affinity{names: sets.New(from.ClusterNames...), exclude: sets.New(from.Exclude...)}
	if from.LabelSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(from.LabelSelector)
		if err != nil {
			return nil, fmt.Errorf("read clusterAffinity.labelSelector: %w", err)
		}
		compiled.labels = selector
	}
	if from.Expression != "" {
		selector, err := expression.CompileSelector(from.Expression)
		if err != nil {
			return nil, fmt.Errorf("read clusterAffinity.expression: %w", err)
		}
		compiled.cel = selector
	}
	if from.FieldSelector == nil {
		return compiled, nil
	}
	for _, match := range from.FieldSelector.MatchExpressions {
		field, err := compileField(match)
		if err != nil {
			return nil, err
		}
		compiled.fields = append(compiled.fields, field)
	}
	return compiled, nil
}

// ForLabels returns the affinity of a label selector in the notation of kubectl.
func ForLabels(selector string) (*Affinity, error) {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return nil, fmt.Errorf("read label selector %q: %w", selector, err)
	}
	return &Affinity{labels: parsed}, nil
}

func compileField(from corev1.NodeSelectorRequirement) (requirement, error) {
	out := requirement{key: from.Key, in: from.Operator == corev1.NodeSelectorOpIn, values: sets.New(from.Values...)}
	if !out.in && from.Operator != corev1.NodeSelectorOpNotIn {
		return out, fmt.Errorf("read clusterAffinity.fieldSelector: operator %q is neither In nor NotIn", from.Operator)
	}
	keys := []string{policyv1alpha1.FieldSelectorProvider, policyv1alpha1.FieldSelectorRegion, policyv1alpha1.FieldSelectorZone}
	if !slices.Contains(keys, from.Key) {
		return out, fmt.Errorf("read clusterAffinity.fieldSelector: unknown key %q", from.Key)
	}
	return out, nil
}

// Matches reports whether the member is selected.
func (a *Affinity) Matches(cluster *clusterv1alpha1.Cluster) bool {
	return a.MatchesKnown(cluster, nil)
}

// MatchesKnown is Matches for a member of which is remembered what expressions say
// about it; nil remembers nothing.
func (a *Affinity) MatchesKnown(cluster *clusterv1alpha1.Cluster, verdicts *expression.Verdicts) bool {
	if a == nil {
		return true
	}
	if a.exclude.Has(cluster.Name) || len(a.names) > 0 && !a.names.Has(cluster.Name) {
		return false
	}
	if a.labels != nil && !a.labels.Matches(labels.Set(cluster.Labels)) {
		return false
	}
	if slices.ContainsFunc(a.fields, func(r requirement) bool { return !r.matches(place.Of(cluster)) }) {
		return false
	}
	// A member that the expression makes no sense for, which lacks a label it asks
	// about for instance, is not selected.
	if a.cel != nil && !verdicts.Selects(a.cel, cluster) {
		return false
	}
	return a.and.MatchesKnown(cluster, verdicts)
}

// matches follows the rule for several zones in the comment of FieldSelector:
// In needs every zone among the values, NotIn none of them.
func (r requirement) matches(at place.Place) bool {
	var have []string
	switch r.key {
	case policyv1alpha1.FieldSelectorProvider:
		have = []string{at.Provider}
	case policyv1alpha1.FieldSelectorRegion:
		have = []string{at.Region}
	case policyv1alpha1.FieldSelectorZone:
		have = at.Zones
	}
	if r.in {
		return len(have) > 0 && r.values.HasAll(have...)
	}
	return !r.values.HasAny(have...)
}

// And returns the affinity that selects what both do.
func (a *Affinity) And(other *Affinity) *Affinity {
	switch {
	case a == nil:
		return other
	case other == nil:
		return a
	}
	both := *a
	both.and = a.and.And(other)
	return &both
}
