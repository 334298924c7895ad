// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dependency

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// Templates are all there are.
type Templates interface {
	// Labels returns those of a template, nil when it does not exist.
	Labels(key template.Key) map[string]string
	// Find returns the templates that match.
	Find(match template.Match) []template.Key
}

// keySet is a set of templates.
type keySet = sets.Set[template.Key]

// Index knows the ties of templates. A template that is not known any more keeps
// its ties until it is forgotten: missing is not gone.
type Index struct {
	templates Templates

	mu    sync.RWMutex
	nodes map[template.Key]node

	needing   map[template.Key]keySet // by what they need
	targeting map[template.Key]keySet // by what they are of use to
	fronting  map[template.Key]keySet // by what they lead to
	matching  map[place]keySet        // by where they look for what they need
	selecting map[handle]keySet       // by a label of the Pods they are of use to
	running   map[handle]keySet       // by the labels of their Pods
}

// node is a template with its ties.
type node struct {
	links template.Links
	runs  bool
	pods  map[string]string // labels of its Pods
}

// place is a kind in a namespace.
type place struct {
	kind      schema.GroupKind
	namespace string
}

// handle is a label in a namespace; without a key it stands for all there is in
// the namespace.
type handle struct{ namespace, key, value string }

// New returns an empty index.
func New(templates Templates) *Index {
	return &Index{
		templates: templates,
		nodes:     map[template.Key]node{},
		needing:   map[template.Key]keySet{},
		targeting: map[template.Key]keySet{},
		fronting:  map[template.Key]keySet{},
		matching:  map[place]keySet{},
		selecting: map[handle]keySet{},
		running:   map[handle]keySet{},
	}
}

// Update learns of a changed template and returns those for which it matters:
// what gained or lost a tie, be it over several others. Nil as after changes
// nothing.
func (i *Index) Update(before, after *template.Template) []template.Key {
	if after == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	key, now := after.Key(), nodeOf(after)
	was := i.nodes[key]
	found := len(i.matching[placeOf(key)]) > 0 && (before == nil || !maps.Equal(before.Labels, after.Labels))
	switch {
	case !was.same(now):
		return i.replaceLocked(key, now)
	case found:
		return i.takenLocked(key).UnsortedList()
	default:
		return nil
	}
}

// Forget drops a template and returns those for which that matters.
func (i *Index) Forget(key template.Key) []template.Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.nodes[key]; !known {
		return nil
	}
	return i.replaceLocked(key, node{})
}

// Along returns what goes along with a template.
func (i *Index) Along(key template.Key) []template.Key {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.takenLocked(key).UnsortedList()
}

// Needed returns what a template needs, and what that needs in turn.
func (i *Index) Needed(key template.Key) []template.Key {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if links := i.nodes[key].links; len(links.Needs)+len(links.Matching) == 0 {
		return nil
	}
	return reach(key, i.neededLocked).UnsortedList()
}

// Targeting returns what is of use to a template by its name.
func (i *Index) Targeting(key template.Key) []template.Key {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.targeting[key].UnsortedList()
}

// With returns the templates a template goes along with.
func (i *Index) With(key template.Key) []template.Key {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return reach(key, i.withLocked).UnsortedList()
}

func nodeOf(t *template.Template) node {
	var n node
	if t.Links != nil {
		n.links = *t.Links
	}
	if t.Workload != nil {
		n.runs, n.pods = true, t.Workload.Labels
	}
	return n
}

func (n node) tied() bool {
	return n.runs || !n.links.Equal(&template.Links{})
}

func (n node) same(other node) bool {
	return n.runs == other.runs && maps.Equal(n.pods, other.pods) && n.links.Equal(&other.links)
}

// replaceLocked returns what a template, and what leads to it, took along before
// or takes along now.
func (i *Index) replaceLocked(key template.Key, now node) []template.Key {
	concerned := i.concernedLocked(key)
	i.indexLocked(key, i.nodes[key], remove)
	delete(i.nodes, key)
	if now.tied() {
		i.nodes[key] = now
		i.indexLocked(key, now, insert)
	}
	return concerned.Union(i.concernedLocked(key)).UnsortedList()
}

func (i *Index) concernedLocked(key template.Key) keySet {
	concerned := i.takenLocked(key).Insert(key)
	for front := range i.fronting[key] {
		concerned = concerned.Union(i.takenLocked(front)).Insert(front)
	}
	return concerned
}

func (i *Index) takenLocked(key template.Key) keySet { return reach(key, i.alongLocked) }

// reach returns what is reached over one step or more, but for the start.
func reach(from template.Key, step func(template.Key, func(template.Key))) keySet {
	seen, next := sets.New(from), []template.Key{from}
	for len(next) > 0 {
		key := next[0]
		next = next[1:]
		step(key, func(reached template.Key) {
			if !seen.Has(reached) {
				seen.Insert(reached)
				next = append(next, reached)
			}
		})
	}
	return seen.Delete(from)
}

// alongLocked yields what goes along with a template over one tie.
func (i *Index) alongLocked(key template.Key, yield func(template.Key)) {
	i.neededLocked(key, yield)
	for user := range i.targeting[key] {
		yield(user)
	}
	for user := range i.usefulLocked(key.Namespace, i.nodes[key]) {
		yield(user)
		for front := range i.fronting[user] {
			yield(front)
		}
	}
}

// neededLocked yields what a template needs itself.
func (i *Index) neededLocked(key template.Key, yield func(template.Key)) {
	links := i.nodes[key].links
	for _, needed := range links.Needs {
		yield(needed)
	}
	for _, match := range links.Matching {
		for _, found := range i.templates.Find(match) {
			yield(found)
		}
	}
}

// usefulLocked returns what is of use to the Pods of a workload.
func (i *Index) usefulLocked(namespace string, n node) keySet {
	useful := keySet{}
	if !n.runs {
		return useful
	}
	for _, h := range handlesOfPods(namespace, n.pods) {
		for user := range i.selecting[h] {
			if i.nodes[user].links.Pods.Matches(labels.Set(n.pods)) {
				useful.Insert(user)
			}
		}
	}
	return useful
}

// withLocked yields what a template goes along with over one tie.
func (i *Index) withLocked(key template.Key, yield func(template.Key)) {
	for user := range i.needing[key] {
		yield(user)
	}
	if looking := i.matching[placeOf(key)]; len(looking) > 0 {
		own := labels.Set(i.templates.Labels(key))
		for user := range looking {
			if i.nodes[user].finds(placeOf(key), own) {
				yield(user)
			}
		}
	}
	n := i.nodes[key]
	for _, target := range n.links.Targets {
		yield(target)
	}
	i.servedLocked(key.Namespace, n.links.Pods, yield)
	for _, behind := range n.links.Fronts {
		i.servedLocked(behind.Namespace, i.nodes[behind].links.Pods, yield)
	}
}

// finds reports whether a template looks for one of a place with such labels.
func (n node) finds(where place, own labels.Set) bool {
	for _, match := range n.links.Matching {
		if match.Kind == where.kind && match.Namespace == where.namespace && match.Selector.Matches(own) {
			return true
		}
	}
	return false
}

// servedLocked yields the workloads whose Pods are selected.
func (i *Index) servedLocked(namespace string, pods labels.Selector, yield func(template.Key)) {
	if pods == nil {
		return
	}
	for workload := range i.running[handleOf(namespace, pods)] {
		if pods.Matches(labels.Set(i.nodes[workload].pods)) {
			yield(workload)
		}
	}
}

func (i *Index) indexLocked(key template.Key, n node, change func(keySet, template.Key) keySet) {
	for _, needed := range n.links.Needs {
		apply(i.needing, needed, key, change)
	}
	for _, target := range n.links.Targets {
		apply(i.targeting, target, key, change)
	}
	for _, behind := range n.links.Fronts {
		apply(i.fronting, behind, key, change)
	}
	for _, match := range n.links.Matching {
		apply(i.matching, place{match.Kind, match.Namespace}, key, change)
	}
	if n.links.Pods != nil {
		apply(i.selecting, handleOf(key.Namespace, n.links.Pods), key, change)
	}
	if n.runs {
		for _, h := range handlesOfPods(key.Namespace, n.pods) {
			apply(i.running, h, key, change)
		}
	}
}

func apply[K comparable](index map[K]keySet, at K, key template.Key, change func(keySet, template.Key) keySet) {
	if index[at] = change(index[at], key); len(index[at]) == 0 {
		delete(index, at)
	}
}

func insert(to keySet, key template.Key) keySet {
	if to == nil {
		to = keySet{}
	}
	return to.Insert(key)
}

func remove(from keySet, key template.Key) keySet { return from.Delete(key) }

func placeOf(key template.Key) place { return place{key.GroupKind(), key.Namespace} }

// handleOf returns a label that all Pods have which the selector picks; without
// such a label it is the namespace.
func handleOf(namespace string, pods labels.Selector) handle {
	requirements, _ := pods.Requirements()
	for _, r := range requirements {
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			if r.Values().Len() == 1 {
				return handle{namespace, r.Key(), r.Values().UnsortedList()[0]}
			}
		}
	}
	return handle{namespace: namespace}
}

// handlesOfPods returns the handles under which selectors of such Pods are.
func handlesOfPods(namespace string, pods map[string]string) []handle {
	handles := []handle{{namespace: namespace}}
	for key, value := range pods {
		handles = append(handles, handle{namespace, key, value})
	}
	return handles
}
