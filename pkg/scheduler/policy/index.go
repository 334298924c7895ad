// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"iter"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Ref names a policy; the namespace of a cluster policy is empty.
type Ref struct {
	// Namespace of the policy.
	Namespace string
	// Name of the policy.
	Name string
}

// RefOf returns the reference to a policy.
func RefOf(policy metav1.Object) Ref {
	return Ref{Namespace: policy.GetNamespace(), Name: policy.GetName()}
}

// index finds the policies with a selector that matches a template.
type index[P metav1.Object] struct {
	mu      sync.RWMutex
	entries map[Ref]*entry[P]
	byKind  map[schema.GroupKind]shelf[P]
}

// shelf holds the selectors about one kind, by place.
type shelf[P metav1.Object] map[place]map[*entry[P]][]Selector

type entry[P metav1.Object] struct {
	policy    P
	selectors []Selector
}

func newIndex[P metav1.Object]() *index[P] {
	return &index[P]{entries: map[Ref]*entry[P]{}, byKind: map[schema.GroupKind]shelf[P]{}}
}

// set adds or replaces a policy. It returns the selectors before and after, which
// between them pick every template the change concerns.
func (x *index[P]) set(policy P, from []policyv1alpha1.ResourceSelector) ([]Selector, error) {
	selectors, err := compile(policy.GetNamespace(), from)
	if err != nil {
		return nil, err
	}
	added := &entry[P]{policy: policy, selectors: selectors}
	x.mu.Lock()
	defer x.mu.Unlock()
	concerned := append(x.removeLocked(RefOf(policy)), selectors...)
	x.entries[RefOf(policy)] = added
	for _, selector := range selectors {
		x.shelveLocked(added, selector)
	}
	return concerned, nil
}

func (x *index[P]) shelveLocked(added *entry[P], selector Selector) {
	kind := schema.GroupKind{Group: selector.Group, Kind: selector.Kind}
	if x.byKind[kind] == nil {
		x.byKind[kind] = shelf[P]{}
	}
	for _, p := range selector.places() {
		if x.byKind[kind][p] == nil {
			x.byKind[kind][p] = map[*entry[P]][]Selector{}
		}
		x.byKind[kind][p][added] = append(x.byKind[kind][p][added], selector)
	}
}

// remove forgets a policy and returns the selectors it had.
func (x *index[P]) remove(ref Ref) []Selector {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.removeLocked(ref)
}

func (x *index[P]) removeLocked(ref Ref) []Selector {
	old, ok := x.entries[ref]
	if !ok {
		return nil
	}
	delete(x.entries, ref)
	for _, selector := range old.selectors {
		kind := schema.GroupKind{Group: selector.Group, Kind: selector.Kind}
		for _, p := range selector.places() {
			delete(x.byKind[kind][p], old)
			if len(x.byKind[kind][p]) == 0 {
				delete(x.byKind[kind], p)
			}
		}
		if len(x.byKind[kind]) == 0 {
			delete(x.byKind, kind)
		}
	}
	return slices.Clone(old.selectors)
}

// match calls found with every policy that has a matching selector, and the
// selector. A policy with several is reported several times.
func (x *index[P]) match(t *template.Template, found func(policy P, by Selector)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for e, selector := range x.candidates(t) {
		if selector.Matches(t) {
			found(e.policy, selector)
		}
	}
}

// candidates yields the selectors at the places where one that matches can be. Those
// are all a match costs.
func (x *index[P]) candidates(t *template.Template) iter.Seq2[*entry[P], Selector] {
	return func(yield func(*entry[P], Selector) bool) {
		for _, kind := range kindsOf(t) {
			if shelf := x.byKind[kind]; len(shelf) > 0 && !shelf.candidates(t, yield) {
				return
			}
		}
	}
}

func (s shelf[P]) candidates(t *template.Template, yield func(*entry[P], Selector) bool) bool {
	for p := range placesOf(t) {
		for e, selectors := range s[p] {
			for _, selector := range selectors {
				if !yield(e, selector) {
					return false
				}
			}
		}
	}
	return true
}

// Propagations is the index of PropagationPolicies and ClusterPropagationPolicies.
type Propagations struct {
	index *index[policyv1alpha1.Propagation]
}

// NewPropagations returns an empty index.
func NewPropagations() *Propagations {
	return &Propagations{index: newIndex[policyv1alpha1.Propagation]()}
}

// Set adds or replaces a policy and returns the selectors of the templates that
// may be concerned. It fails, and changes nothing, on a selector it cannot read.
func (x *Propagations) Set(policy policyv1alpha1.Propagation) ([]Selector, error) {
	return x.index.set(policy, policy.GetSpec().ResourceSelectors)
}

// Delete forgets a policy and returns the selectors of the templates that may be
// concerned.
func (x *Propagations) Delete(ref Ref) []Selector { return x.index.remove(ref) }

// Get returns a policy, nil when there is none.
func (x *Propagations) Get(ref Ref) policyv1alpha1.Propagation {
	x.index.mu.RLock()
	defer x.index.mu.RUnlock()
	if found, ok := x.index.entries[ref]; ok {
		return found.policy
	}
	return nil
}

// Match is a policy that picks a template.
type Match struct {
	// Policy that picks it.
	Policy policyv1alpha1.Propagation
	// By is its most precise selector that does.
	By Selector
}

// Winner returns the one policy a template follows, nil when none picks it:
// namespaced policies before cluster policies and those before the zero-policy
// default, then the higher priority, then the more precise selector, then the
// first name. The holder, the policy the
// template follows now, keeps it from others that would win but do not
// preempt, and loses it to the best of those that do; a holder that places
// automatically stands for no policy at all and holds nothing.
func (x *Propagations) Winner(t *template.Template, holder *Ref) *Match {
	var matches []*Match
	var held *Match
	x.index.match(t, func(policy policyv1alpha1.Propagation, by Selector) {
		candidate := &Match{Policy: policy, By: by}
		matches = append(matches, candidate)
		if holder != nil && *holder == RefOf(policy) && (held == nil || candidate.compare(held) < 0) {
			held = candidate
		}
	})
	if held != nil && held.Policy.GetSpec().Placement.Auto == nil {
		matches = slices.DeleteFunc(matches, func(m *Match) bool { return m != held && !m.preempts(held) })
	}
	if len(matches) == 0 {
		return nil
	}
	return slices.MinFunc(matches, (*Match).compare)
}

// Matches returns the policies that pick a template, each with its most precise
// selector that does, in the order in which they would win.
func (x *Propagations) Matches(t *template.Template) []*Match {
	byRef := map[Ref]*Match{}
	x.index.match(t, func(policy policyv1alpha1.Propagation, by Selector) {
		candidate := &Match{Policy: policy, By: by}
		if known := byRef[RefOf(policy)]; known == nil || candidate.compare(known) < 0 {
			byRef[RefOf(policy)] = candidate
		}
	})
	out := make([]*Match, 0, len(byRef))
	for _, match := range byRef {
		out = append(out, match)
	}
	slices.SortFunc(out, (*Match).compare)
	return out
}

// preempts reports whether m takes templates away from held.
func (m *Match) preempts(held *Match) bool {
	if m.Policy.GetSpec().Preemption != policyv1alpha1.PreemptAlways {
		return false
	}
	return m.scope() < held.scope() || m.scope() == held.scope() && m.Policy.GetSpec().Priority > held.Policy.GetSpec().Priority
}

// scope orders namespaced policies before cluster policies, and the default the
// server creates after all others, whatever its priority.
func (m *Match) scope() int {
	switch {
	case m.Policy.GetNamespace() != "":
		return 0
	case m.Policy.GetName() != wellknown.DefaultPolicyName:
		return 1
	default:
		return 2
	}
}

// compare is negative when m wins over other.
func (m *Match) compare(other *Match) int {
	return cmp.Or(
		cmp.Compare(m.scope(), other.scope()),
		cmp.Compare(other.Policy.GetSpec().Priority, m.Policy.GetSpec().Priority),
		cmp.Compare(other.By.precision(), m.By.precision()),
		cmp.Compare(m.Policy.GetName(), other.Policy.GetName()),
	)
}

// Overrides is the index of OverridePolicies and ClusterOverridePolicies.
type Overrides struct {
	index *index[policyv1alpha1.Override]
}

// NewOverrides returns an empty index.
func NewOverrides() *Overrides {
	return &Overrides{index: newIndex[policyv1alpha1.Override]()}
}

// Set adds or replaces a policy and returns the selectors of the templates that
// may be concerned. It fails, and changes nothing, on a selector it cannot read.
func (x *Overrides) Set(policy policyv1alpha1.Override) ([]Selector, error) {
	return x.index.set(policy, policy.GetSpec().ResourceSelectors)
}

// Delete forgets a policy and returns the selectors of the templates that may be
// concerned.
func (x *Overrides) Delete(ref Ref) []Selector { return x.index.remove(ref) }

// Has reports whether there is such a policy.
func (x *Overrides) Has(ref Ref) bool {
	x.index.mu.RLock()
	defer x.index.mu.RUnlock()
	_, ok := x.index.entries[ref]
	return ok
}

// For returns the policies that apply to a template, in the order they are
// applied: cluster policies before namespaced ones, then by name.
func (x *Overrides) For(t *template.Template) []policyv1alpha1.Override {
	byRef := map[Ref]policyv1alpha1.Override{}
	x.index.match(t, func(policy policyv1alpha1.Override, _ Selector) { byRef[RefOf(policy)] = policy })
	out := make([]policyv1alpha1.Override, 0, len(byRef))
	for _, policy := range byRef {
		out = append(out, policy)
	}
	slices.SortFunc(out, func(a, b policyv1alpha1.Override) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}
