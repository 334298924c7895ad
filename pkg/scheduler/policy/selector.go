// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"iter"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Any as Group or Kind of a Selector stands for every one.
const Any = policyv1alpha1.AnyResource

// Precision is how closely a selector describes a template; the higher wins.
type Precision int

const (
	// ByAny selects every kind.
	ByAny Precision = iota
	// ByKind selects by kind, and perhaps namespace.
	ByKind
	// ByLabels selects by labels.
	ByLabels
	// ByName selects one object.
	ByName
)

// Selector is one compiled resource selector.
type Selector struct {
	// Group and Kind of the templates, or Any. Versions are not told apart.
	Group, Kind string
	// Namespace of the templates, empty for any.
	Namespace string
	// Name of the template, empty for any.
	Name string
	// Labels of the templates, nil for any.
	Labels labels.Selector
}

// compile reads the selectors of a policy; namespace is that of the policy. No
// selectors stand for everything in scope, the rule of override policies.
func compile(namespace string, from []policyv1alpha1.ResourceSelector) ([]Selector, error) {
	if len(from) == 0 {
		return []Selector{{Group: Any, Kind: Any, Namespace: namespace}}, nil
	}
	out := make([]Selector, 0, len(from))
	for _, resource := range from {
		selector := Selector{Group: groupOf(resource.APIVersion), Kind: resource.Kind, Namespace: resource.Namespace, Name: resource.Name}
		if namespace != "" {
			selector.Namespace = namespace
		}
		if resource.LabelSelector != nil {
			parsed, err := metav1.LabelSelectorAsSelector(resource.LabelSelector)
			if err != nil {
				return nil, fmt.Errorf("read label selector for %s: %w", resource.Kind, err)
			}
			selector.Labels = parsed
		}
		out = append(out, selector)
	}
	return out, nil
}

func groupOf(apiVersion string) string {
	if apiVersion == Any {
		return Any
	}
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// Matches reports whether the selector picks the template.
func (s Selector) Matches(t *template.Template) bool {
	return s.MatchesKind(t.Kind.Group, t.Kind.Kind) &&
		(s.Namespace == "" || s.Namespace == t.Namespace) &&
		(s.Name == "" || s.Name == t.Name) &&
		(s.Labels == nil || s.Labels.Matches(labels.Set(t.Labels)))
}

// MatchesKind reports whether the selector is about templates of the kind.
func (s Selector) MatchesKind(group, kind string) bool {
	return (s.Group == Any || s.Group == group) && (s.Kind == Any || s.Kind == kind)
}

// NamesKind reports whether the selector spells the kind out.
func (s Selector) NamesKind() bool { return s.Kind != Any }

func (s Selector) precision() Precision {
	switch {
	case s.Name != "":
		return ByName
	case s.Labels != nil:
		return ByLabels
	case s.NamesKind():
		return ByKind
	default:
		return ByAny
	}
}

// String says what the selector goes by, for people.
func (p Precision) String() string {
	switch p {
	case ByName:
		return "name"
	case ByLabels:
		return "labels"
	case ByKind:
		return "kind"
	default:
		return "any kind"
	}
}

// Precision is how closely the selector describes a template.
func (s Selector) Precision() Precision { return s.precision() }

// place is where the index keeps a selector among those of its group and kind:
// the facts a template has to have, as far as they can be looked up. For labels
// that is one key, with one value or with any.
type place struct {
	namespace, name      string
	labelKey, labelValue string
	anyValue             bool
}

// places returns where the selector is kept: one place, or one per value of the
// label it is found by.
func (s Selector) places() []place {
	base := place{namespace: s.Namespace, name: s.Name}
	if s.Labels == nil || s.Name != "" {
		return []place{base}
	}
	requirements, _ := s.Labels.Requirements()
	for _, r := range requirements {
		base.labelKey = r.Key()
		switch r.Operator() {
		case selection.In, selection.Equals, selection.DoubleEquals:
			var out []place
			for value := range r.Values() {
				base.labelValue = value
				out = append(out, base)
			}
			return out
		case selection.Exists:
			base.anyValue = true
			return []place{base}
		}
	}
	// Only absent labels are asked for; those cannot be looked up.
	base.labelKey = ""
	return []place{base}
}

// placesOf yields every place where a selector that matches the template can be.
func placesOf(t *template.Template) iter.Seq[place] {
	return func(yield func(place) bool) {
		for _, namespace := range namespacesOf(t) {
			if !yield(place{namespace: namespace}) || !yield(place{namespace: namespace, name: t.Name}) {
				return
			}
			for key, value := range t.Labels {
				exact := place{namespace: namespace, labelKey: key, labelValue: value}
				some := place{namespace: namespace, labelKey: key, anyValue: true}
				if !yield(exact) || !yield(some) {
					return
				}
			}
		}
	}
}

// kindsOf returns the group and kind a selector for the template can spell.
func kindsOf(t *template.Template) [4]schema.GroupKind {
	return [4]schema.GroupKind{
		{Group: t.Kind.Group, Kind: t.Kind.Kind},
		{Group: t.Kind.Group, Kind: Any},
		{Group: Any, Kind: t.Kind.Kind},
		{Group: Any, Kind: Any},
	}
}

func namespacesOf(t *template.Template) []string {
	if t.Namespace == "" {
		return []string{""}
	}
	return []string{t.Namespace, ""}
}
