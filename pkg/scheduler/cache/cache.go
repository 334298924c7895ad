// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Cache is what the scheduler knows of members and placements.
type Cache struct {
	clock clock.PassiveClock

	mu       sync.RWMutex
	members  map[string]*framework.Member
	sorted   []*framework.Member // by name
	shared   bool                // sorted was handed out, a change needs another one
	apis     framework.APIPool
	promises promises
	claims   map[template.Key]map[string]capacity.Load // by who waits for the room

	placements map[template.Key]*placement
	byMember   map[string]sets.Set[*placement]
	byPolicy   map[policy.Ref]sets.Set[template.Key]
	carriers   map[types.NamespacedName]template.Key // by their binding: those that take along what they need
	footprints map[string]counts                     // by namespace: members and templates there that run Pods
	landings   map[string]counts                     // by namespace: members and templates there
	// visited are, by namespace, the members where it had a template and is not placed
	// itself yet: a syncer makes the namespace with the first object in it.
	visited map[string]sets.Set[string]
	running map[schema.GroupKind]bool
}

// placement is where one template is.
type placement struct {
	key      template.Key
	binding  workv1alpha1.Binding // nil when there is none
	assumed  bool
	clusters []workv1alpha1.TargetCluster
}

// counts are numbers of templates by member.
type counts map[string]int

// Change is what a changed placement means for other templates.
type Change struct {
	// Namespace of the template.
	Namespace string
	// Footprint says that the namespace has workloads on a further member.
	Footprint bool
	// Landed says that the namespace has anything on a further member.
	Landed bool
	// Moved says that the template is on other members than before.
	Moved bool
}

// New returns an empty cache. promised is how long a decision is counted against
// the report of a member.
func New(clock clock.PassiveClock, promised time.Duration) *Cache {
	return &Cache{
		clock:      clock,
		members:    map[string]*framework.Member{},
		promises:   newPromises(promised),
		claims:     map[template.Key]map[string]capacity.Load{},
		placements: map[template.Key]*placement{},
		byMember:   map[string]sets.Set[*placement]{},
		byPolicy:   map[policy.Ref]sets.Set[template.Key]{},
		carriers:   map[types.NamespacedName]template.Key{},
		footprints: map[string]counts{},
		landings:   map[string]counts{},
		visited:    map[string]sets.Set[string]{},
		running:    map[schema.GroupKind]bool{},
	}
}

// SetMember adds or replaces a member and returns what happened to it.
func (c *Cache) SetMember(cluster *clusterv1alpha1.Cluster) framework.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.members[cluster.Name]
	after := framework.NewMember(cluster, &c.apis)
	if before != nil {
		after.Inherit(before)
	}
	c.promises.observe(cluster.Name, after.Observed)
	after.Free = c.promises.less(cluster.Name, after.Reported)
	c.storeLocked(after)
	return framework.NewChange(before, after)
}

// RemoveMember forgets a member and returns what happened to it.
func (c *Cache) RemoveMember(name string) framework.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, ok := c.members[name]
	if !ok {
		return framework.Change{}
	}
	delete(c.members, name)
	c.ownLocked()
	at, _ := c.findLocked(name)
	c.sorted = slices.Delete(c.sorted, at, at+1)
	return framework.NewChange(before, nil)
}

// Members returns the members by name. The slice is not to be changed.
func (c *Cache) Members() []*framework.Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addUpLocked(c.promises.lapse(c.clock.Now()))
	c.shared = true
	return c.sorted
}

// storeLocked adds a member, or replaces the one of its name.
func (c *Cache) storeLocked(member *framework.Member) {
	c.members[member.Name()] = member
	c.ownLocked()
	at, found := c.findLocked(member.Name())
	if found {
		c.sorted[at] = member
		return
	}
	c.sorted = slices.Insert(c.sorted, at, member)
}

// ownLocked makes the list one that can be changed: those handed out keep what they
// show.
func (c *Cache) ownLocked() {
	if c.shared {
		c.sorted, c.shared = slices.Clone(c.sorted), false
	}
}

func (c *Cache) findLocked(name string) (int, bool) {
	return slices.BinarySearchFunc(c.sorted, name, func(m *framework.Member, name string) int { return strings.Compare(m.Name(), name) })
}

// addUpLocked adds up what members have left, after promises to them ended.
func (c *Cache) addUpLocked(members sets.Set[string]) {
	for name := range members {
		if before, ok := c.members[name]; ok {
			c.setFreeLocked(before, c.promises.less(name, before.Reported))
		}
	}
}

func (c *Cache) setFreeLocked(before *framework.Member, free *capacity.Summary) {
	after := *before
	after.Free = free
	c.storeLocked(&after)
}

// Binding returns the binding of a template, nil when there is none.
func (c *Cache) Binding(key template.Key) workv1alpha1.Binding {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if p, ok := c.placements[key]; ok {
		return p.binding
	}
	return nil
}

// SetBinding learns of a binding. While its template is assumed elsewhere, that
// stands.
func (c *Cache) SetBinding(binding workv1alpha1.Binding) Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setBindingLocked(binding, false)
}

// Confirm learns that the decision about a template was written.
func (c *Cache) Confirm(binding workv1alpha1.Binding) Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setBindingLocked(binding, true)
}

func (c *Cache) setBindingLocked(binding workv1alpha1.Binding, confirmed bool) Change {
	key := template.KeyOf(binding.GetSpec().Resource)
	p := c.placementLocked(key)
	if confirmed {
		p.assumed = false
		c.promises.confirm(key, version(binding))
	}
	if p.binding == nil || !older(binding, p.binding) {
		c.indexPolicyLocked(key, p.binding, binding)
		c.indexCarrierLocked(key, p.binding, binding)
		p.binding = binding
	}
	if p.assumed {
		return Change{Namespace: key.Namespace}
	}
	return c.placeLocked(key, p, p.binding.GetSpec().Clusters)
}

// RemoveBinding forgets a binding that was deleted.
func (c *Cache) RemoveBinding(binding workv1alpha1.Binding) {
	key := template.KeyOf(binding.GetSpec().Resource)
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.placements[key]
	if !ok || p.binding == nil || p.binding.GetUID() != binding.GetUID() {
		return
	}
	c.indexPolicyLocked(key, p.binding, nil)
	c.indexCarrierLocked(key, p.binding, nil)
	p.binding = nil
	if !p.assumed {
		c.placeLocked(key, p, nil)
	}
	c.dropEmptyLocked(key, p)
}

// Assume takes a template to be on the members of a decision that is about to be
// written. loads are what the decision adds to members.
func (c *Cache) Assume(key template.Key, clusters []workv1alpha1.TargetCluster, loads map[string][]capacity.Load) Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.placementLocked(key)
	p.assumed = true
	for name, added := range loads {
		member, ok := c.members[name]
		if !ok {
			continue
		}
		free := member.Free
		for _, load := range added {
			c.promises.add(&promise{key: key, member: name, load: load}, c.clock.Now())
			free = free.Take(load)
		}
		c.setFreeLocked(member, free)
	}
	return c.placeLocked(key, p, clusters)
}

// Forget takes an assumption back: the decision was not written.
func (c *Cache) Forget(key template.Key) Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.placements[key]
	if !ok {
		return Change{Namespace: key.Namespace}
	}
	p.assumed = false
	c.addUpLocked(c.promises.drop(key))
	var clusters []workv1alpha1.TargetCluster
	if p.binding != nil {
		clusters = p.binding.GetSpec().Clusters
	}
	change := c.placeLocked(key, p, clusters)
	c.dropEmptyLocked(key, p)
	return change
}

// Claim counts room in members as taken for a template that waits for it. Release
// gives it back for a decision, ClaimAgain takes it again, Unclaim ends it.
func (c *Cache) Claim(key template.Key, loads map[string]capacity.Load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims[key] = loads
	c.claimLocked(key)
}

// ClaimAgain counts the room of a claim as taken again.
func (c *Cache) ClaimAgain(key template.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claimLocked(key)
}

func (c *Cache) claimLocked(key template.Key) {
	for name, load := range c.claims[key] {
		if member, ok := c.members[name]; ok {
			c.promises.add(&promise{key: key, member: name, load: load, claim: true}, c.clock.Now())
			c.setFreeLocked(member, member.Free.Take(load))
		}
	}
}

// Release gives the room of a claim back for the decision about who claimed it.
func (c *Cache) Release(key template.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.claims[key]; ok {
		c.addUpLocked(c.promises.unclaim(key))
	}
}

// Unclaim ends a claim.
func (c *Cache) Unclaim(key template.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.claims[key]; ok {
		c.addUpLocked(c.promises.unclaim(key))
		delete(c.claims, key)
	}
}

// ReplicasOn returns the replicas of a template on a member.
func (c *Cache) ReplicasOn(key template.Key, member string) int32 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if p, ok := c.placements[key]; ok {
		for _, cluster := range p.clusters {
			if cluster.Name == member {
				return cluster.Replicas
			}
		}
	}
	return 0
}

// MembersOf returns the members a template is on.
func (c *Cache) MembersOf(key template.Key) sets.Set[string] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	members := sets.New[string]()
	if p, ok := c.placements[key]; ok {
		for _, cluster := range p.clusters {
			members.Insert(cluster.Name)
		}
	}
	return members
}

// Footprint returns the members where the namespace has templates that run Pods.
func (c *Cache) Footprint(namespace string) sets.Set[string] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return sets.KeySet(c.footprints[namespace])
}

// Landed returns the members where the namespace has any template, or had one for a
// moment that the namespace itself has not followed yet: what was made for it there
// has to be known to be removed some day.
func (c *Cache) Landed(namespace string) sets.Set[string] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return sets.KeySet(c.landings[namespace]).Union(c.visited[namespace])
}

// ForgetNamespace forgets where a namespace that is gone had templates.
func (c *Cache) ForgetNamespace(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.visited, name)
}

// PlacedOn returns the templates on a member.
func (c *Cache) PlacedOn(member string) []template.Key {
	c.mu.RLock()
	defer c.mu.RUnlock()
	keys := make([]template.Key, 0, len(c.byMember[member]))
	for p := range c.byMember[member] {
		keys = append(keys, p.key)
	}
	return keys
}

// Following returns the templates whose binding follows a policy.
func (c *Cache) Following(ref policy.Ref) []template.Key {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.byPolicy[ref].UnsortedList()
}

// Carrier returns the template whose binding has the name and says that what it needs
// goes along, false when none does.
func (c *Cache) Carrier(binding types.NamespacedName) (template.Key, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	key, ok := c.carriers[binding]
	return key, ok
}

// OfKind returns the templates of a kind that have a binding. It looks at all
// placements: for what happens once per kind.
func (c *Cache) OfKind(kind schema.GroupKind) []template.Key {
	return c.those(func(key template.Key) bool { return key.GroupKind() == kind })
}

// OfGroup returns the templates of all kinds of a group that have a binding, as
// OfKind does.
func (c *Cache) OfGroup(group string) []template.Key {
	return c.those(func(key template.Key) bool { return key.Group == group })
}

func (c *Cache) those(match func(template.Key) bool) []template.Key {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var keys []template.Key
	for key := range c.placements {
		if match(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c *Cache) placementLocked(key template.Key) *placement {
	p, ok := c.placements[key]
	if !ok {
		p = &placement{key: key}
		c.placements[key] = p
	}
	return p
}

func (c *Cache) dropEmptyLocked(key template.Key, p *placement) {
	if p.binding == nil && !p.assumed {
		delete(c.placements, key)
	}
}

// placeLocked moves a template in all indexes.
func (c *Cache) placeLocked(key template.Key, p *placement, clusters []workv1alpha1.TargetCluster) Change {
	change := Change{Namespace: key.Namespace}
	if sameNames(p.clusters, clusters) {
		p.clusters = clusters
		return change
	}
	gone, come := missing(p.clusters, clusters), missing(clusters, p.clusters)
	p.clusters = clusters
	change.Moved = len(gone)+len(come) > 0
	for _, member := range gone {
		remove(c.byMember, member, p)
		c.countLocked(key, member, -1)
	}
	for _, member := range come {
		insert(c.byMember, member, p)
		runs, landed := c.countLocked(key, member, 1)
		change.Footprint = change.Footprint || runs
		if landed {
			change.Landed = true
			c.visitLocked(key.Namespace, member)
		}
		if key.GroupKind() == namespaceKind {
			remove(c.visited, key.Name, member)
		}
	}
	return change
}

// namespaceKind is that of the templates that follow what is in them.
var namespaceKind = schema.GroupKind{Kind: "Namespace"}

// visitLocked notes that a namespace has something on a member, unless it is placed
// there itself.
func (c *Cache) visitLocked(namespace, member string) {
	own := c.placements[template.Key{Kind: namespaceKind.Kind, Name: namespace}]
	if own == nil || !c.byMember[member].Has(own) {
		insert(c.visited, namespace, member)
	}
}

// SetRuns says whether templates of a custom kind run Pods, and returns the namespaces
// whose footprint that changes.
func (c *Cache) SetRuns(kind schema.GroupKind, runs bool) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runsLocked(kind) == runs {
		return nil
	}
	c.running[kind] = runs
	n := -1
	if runs {
		n = 1
	}
	namespaces := sets.New[string]()
	for key, p := range c.placements {
		if key.GroupKind() != kind || key.Namespace == "" {
			continue
		}
		for member := range names(p.clusters) {
			count(c.footprints, key.Namespace, member, n)
			namespaces.Insert(key.Namespace)
		}
	}
	return sets.List(namespaces)
}

func (c *Cache) runsLocked(kind schema.GroupKind) bool { return template.Runs(kind) || c.running[kind] }

// countLocked counts a template of a namespace on a member and reports whether it
// is the first there that runs Pods, and the first of all. Namespaces themselves
// and cluster-scoped templates are in no namespace.
func (c *Cache) countLocked(key template.Key, member string, n int) (runs, landed bool) {
	if key.Namespace == "" {
		return false, false
	}
	if c.runsLocked(key.GroupKind()) {
		runs = count(c.footprints, key.Namespace, member, n)
	}
	return runs, count(c.landings, key.Namespace, member, n)
}

func count(all map[string]counts, namespace, member string, n int) (first bool) {
	if all[namespace] == nil {
		all[namespace] = counts{}
	}
	all[namespace][member] += n
	if all[namespace][member] == 0 {
		delete(all[namespace], member)
		if len(all[namespace]) == 0 {
			delete(all, namespace)
		}
		return false
	}
	return n > 0 && all[namespace][member] == n
}

func (c *Cache) indexPolicyLocked(key template.Key, before, after workv1alpha1.Binding) {
	if ref, ok := PolicyOf(before); ok {
		remove(c.byPolicy, ref, key)
	}
	if ref, ok := PolicyOf(after); ok {
		insert(c.byPolicy, ref, key)
	}
}

func (c *Cache) indexCarrierLocked(key template.Key, before, after workv1alpha1.Binding) {
	if before != nil && before.GetSpec().PropagateDeps {
		delete(c.carriers, nameOf(before))
	}
	if after != nil && after.GetSpec().PropagateDeps {
		c.carriers[nameOf(after)] = key
	}
}

func nameOf(binding workv1alpha1.Binding) types.NamespacedName {
	return types.NamespacedName{Namespace: binding.GetNamespace(), Name: binding.GetName()}
}

// PolicyOf returns the policy a binding follows, false when it follows none.
func PolicyOf(binding workv1alpha1.Binding) (policy.Ref, bool) {
	if binding == nil || binding.GetSpec().Policy == nil {
		return policy.Ref{}, false
	}
	from := binding.GetSpec().Policy
	return policy.Ref{Namespace: from.Namespace, Name: from.Name}, true
}

// missing returns the names of one list that are not in another.
func missing(from, in []workv1alpha1.TargetCluster) []string {
	if len(from) == 0 {
		return nil
	}
	var there sets.Set[string]
	if len(in) > 0 {
		there = names(in)
	}
	out := make([]string, 0, len(from))
	for _, cluster := range from {
		if !there.Has(cluster.Name) {
			out = append(out, cluster.Name)
		}
	}
	return out
}

func names(clusters []workv1alpha1.TargetCluster) sets.Set[string] {
	out := make(sets.Set[string], len(clusters))
	for _, cluster := range clusters {
		out.Insert(cluster.Name)
	}
	return out
}

func sameNames(a, b []workv1alpha1.TargetCluster) bool {
	return slices.EqualFunc(a, b, func(x, y workv1alpha1.TargetCluster) bool { return x.Name == y.Name })
}

func insert[K, V comparable](index map[K]sets.Set[V], at K, value V) {
	if index[at] == nil {
		index[at] = sets.New[V]()
	}
	index[at].Insert(value)
}

func remove[K, V comparable](index map[K]sets.Set[V], at K, value V) {
	index[at].Delete(value)
	if len(index[at]) == 0 {
		delete(index, at)
	}
}

// older compares two states of one binding; resource versions of the fleet are
// decimal and grow. A binding that was created anew is never older.
func older(a, b workv1alpha1.Binding) bool {
	if a.GetUID() != b.GetUID() {
		return false
	}
	x, y := version(a), version(b)
	return x > 0 && y > 0 && x < y
}

// version of a binding as a number, 0 when it is none.
func version(binding workv1alpha1.Binding) uint64 {
	parsed, err := strconv.ParseUint(binding.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return parsed
}
