// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/strategy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// groups knows which workloads share the value of a label, for the label keys
// that some policy groups by. It is safe for concurrent use.
type groups struct {
	mu      sync.RWMutex
	keys    map[string]sets.Set[policy.Ref]
	byGroup map[strategy.Group]sets.Set[template.Key]
}

func newGroups() *groups {
	return &groups{keys: map[string]sets.Set[policy.Ref]{}, byGroup: map[strategy.Group]sets.Set[template.Key]{}}
}

// follow learns what a policy groups by; a nil policy groups by nothing. It reports
// whether there are keys that nobody grouped by before, so that the templates have
// to be told anew.
func (g *groups) follow(ref policy.Ref, by policyv1alpha1.Propagation) bool {
	wanted := sets.New[string]()
	if by != nil {
		wanted = keysOf(by.GetSpec().Placement.WorkloadAffinity)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := false
	for key, refs := range g.keys {
		if !wanted.Has(key) && refs.Delete(ref).Len() == 0 {
			g.dropLocked(key)
		}
	}
	for key := range wanted {
		if g.keys[key] == nil {
			g.keys[key] = sets.New[policy.Ref]()
			fresh = true
		}
		g.keys[key].Insert(ref)
	}
	return fresh
}

func keysOf(affinity *policyv1alpha1.WorkloadAffinity) sets.Set[string] {
	keys := sets.New[string]()
	if affinity == nil {
		return keys
	}
	for _, term := range []*policyv1alpha1.WorkloadAffinityTerm{affinity.Affinity, affinity.AntiAffinity} {
		if term != nil {
			keys.Insert(term.GroupByLabelKey)
		}
	}
	return keys
}

func (g *groups) dropLocked(key string) {
	delete(g.keys, key)
	for group := range g.byGroup {
		if group.Key == key {
			delete(g.byGroup, group)
		}
	}
}

// update learns of a changed template. It reports whether the template left a
// group, which may make place for others.
func (g *groups) update(before, after *template.Template) (left bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.keys) == 0 {
		return false
	}
	now := g.ofLocked(after)
	for _, group := range g.ofLocked(before) {
		left = left || !slices.Contains(now, group)
		g.byGroup[group].Delete(before.Key())
		if g.byGroup[group].Len() == 0 {
			delete(g.byGroup, group)
		}
	}
	for _, group := range now {
		if g.byGroup[group] == nil {
			g.byGroup[group] = sets.New[template.Key]()
		}
		g.byGroup[group].Insert(after.Key())
	}
	return left
}

// of returns the groups a template is in.
func (g *groups) of(t *template.Template) []strategy.Group {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.ofLocked(t)
}

func (g *groups) ofLocked(t *template.Template) []strategy.Group {
	if t == nil || t.Workload == nil {
		return nil
	}
	var in []strategy.Group
	for key := range g.keys {
		if value, ok := t.Labels[key]; ok {
			in = append(in, strategy.Group{Namespace: t.Namespace, Key: key, Value: value})
		}
	}
	return in
}

// members returns the templates of a group.
func (g *groups) members(of strategy.Group) []template.Key {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.byGroup[of].UnsortedList()
}
