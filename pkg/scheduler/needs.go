// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/dependency"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/metrics"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// known are the templates as the index of dependencies sees them.
type known struct{ *Scheduler }

var _ dependency.Templates = known{}

// Labels implements dependency.Templates.
func (k known) Labels(key template.Key) map[string]string {
	t := k.templates.Get(key)
	if t == nil {
		return nil
	}
	return t.Labels
}

// Find implements dependency.Templates.
func (k known) Find(match template.Match) []template.Key {
	found := k.templates.Matching([]policy.Selector{{
		Group: match.Kind.Group, Kind: match.Kind.Kind, Namespace: match.Namespace, Labels: match.Selector,
	}})
	return slices.Collect(maps.Keys(found))
}

// requiredBy returns where a template goes along: for each template that takes it
// along, the members that have that or are to have it. A member that is being
// unjoined is not among them unless it was before.
func (s *Scheduler) requiredBy(subject *subject) []workv1alpha1.BindingSnapshot {
	users := sets.New(s.needs.With(subject.key)...).Insert(s.unseen(subject)...)
	if len(users) == 0 {
		return nil
	}
	members := s.cache.Members()
	var out []workv1alpha1.BindingSnapshot
	for key := range users {
		spec := s.specOf(key)
		if spec == nil || !spec.PropagateDeps {
			continue
		}
		snapshot := workv1alpha1.BindingSnapshot{Namespace: key.Namespace, Name: workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name)}
		before := subject.required(snapshot)
		on := s.cache.MembersOf(key)
		for _, task := range spec.GracefulEvictionTasks {
			on.Insert(task.FromCluster)
		}
		for _, name := range sets.List(on) {
			if member := find(members, name); listed(before, name) || member != nil && !member.Leaving {
				snapshot.Clusters = append(snapshot.Clusters, workv1alpha1.TargetCluster{Name: name})
			}
		}
		if len(snapshot.Clusters) > 0 {
			out = append(out, snapshot)
		}
	}
	slices.SortFunc(out, func(a, b workv1alpha1.BindingSnapshot) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// unseen returns the templates that need a template as its binding says, of kinds that
// are not listed: whether they still do is not known. It is decided about again when
// that may be.
func (s *Scheduler) unseen(subject *subject) []template.Key {
	if subject.recreated() || subject.binding == nil {
		return nil
	}
	var out []template.Key
	for _, snapshot := range subject.binding.GetSpec().RequiredBy {
		user, ok := s.cache.Carrier(types.NamespacedName{Namespace: snapshot.Namespace, Name: snapshot.Name})
		if !ok || s.templates.Listed(user.GroupKind()) {
			continue
		}
		s.unsure.add(user.GroupKind(), subject.key)
		if s.templates.Listed(user.GroupKind()) {
			s.queue.Add(subject.key) // nobody may have seen that it waits
		}
		out = append(out, user)
	}
	return out
}

// unsure are the templates that are kept where a template needs them whose kind is
// not listed, by that kind. It is safe for concurrent use.
type unsure struct {
	mu   sync.Mutex
	keys map[schema.GroupKind]sets.Set[template.Key]
}

func newUnsure() *unsure { return &unsure{keys: map[schema.GroupKind]sets.Set[template.Key]{}} }

func (u *unsure) add(kind schema.GroupKind, key template.Key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keys[kind] == nil {
		u.keys[kind] = sets.New[template.Key]()
	}
	u.keys[kind].Insert(key)
}

// take returns those of a kind, and forgets them.
func (u *unsure) take(kind schema.GroupKind) []template.Key {
	u.mu.Lock()
	defer u.mu.Unlock()
	keys := u.keys[kind].UnsortedList()
	delete(u.keys, kind)
	return keys
}

// specOf returns what the binding of a template says, or is about to say; nil when
// there is none.
func (s *Scheduler) specOf(key template.Key) *workv1alpha1.BindingSpec {
	if intended := s.ahead.intent(key); intended != nil {
		return intended
	}
	if binding := s.cache.Binding(key); binding != nil {
		return binding.GetSpec()
	}
	return nil
}

// required returns where the binding says that it is needed by another.
func (s *subject) required(by workv1alpha1.BindingSnapshot) []workv1alpha1.TargetCluster {
	if s.binding == nil {
		return nil
	}
	for _, snapshot := range s.binding.GetSpec().RequiredBy {
		if snapshot.Namespace == by.Namespace && snapshot.Name == by.Name {
			return snapshot.Clusters
		}
	}
	return nil
}

// require has a template that was not placed by itself go where it is needed, and
// leave when it is not any more.
func (s *Scheduler) require(d *decision) {
	if d.template == nil || d.remove || !d.template.DeletionTimestamp.IsZero() || d.suspended() || d.template.Stays != "" {
		return
	}
	is := workv1alpha1.BindingSpec{Resource: d.template.Reference(), ConflictResolution: policyv1alpha1.ConflictIfNoDiff}
	if left := d.left(); left != nil {
		is = *left
	}
	if equality.Semantic.DeepEqual(is.RequiredBy, d.requiredBy) {
		d.removeUnneeded(is)
		return
	}
	wanted := is
	wanted.RequiredBy = d.requiredBy
	how, err := s.resolve(d.template, wanted)
	if err != nil {
		d.wakeOn |= framework.AnyEvent
		return
	}
	wanted.Overrides, wanted.Versions = how.overrides, how.versions
	d.spec = &wanted
	if d.result == metrics.Held || d.result == metrics.Unchanged {
		d.result = metrics.Placed
	}
}

// removeUnneeded removes a binding that was made for a workload that needed it,
// once no member has anything of it.
func (d *decision) removeUnneeded(is workv1alpha1.BindingSpec) {
	empty := len(is.Tombstones) == 0 && is.Holders().Len() == 0
	d.remove = d.binding != nil && d.spec == nil && d.match == nil && is.Policy == nil && empty
}
