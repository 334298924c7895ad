// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"cmp"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/metrics"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// needs knows which workloads need what else in the members they are on. A workload
// that is not known any more needs it until its binding is empty: missing is not
// gone. It is safe for concurrent use.
type needs struct {
	mu    sync.RWMutex
	of    map[template.Key][]template.Key
	users map[template.Key]sets.Set[template.Key]
}

func newNeeds() *needs {
	return &needs{of: map[template.Key][]template.Key{}, users: map[template.Key]sets.Set[template.Key]{}}
}

// update learns of a changed workload and returns what gained or lost it.
func (n *needs) update(after *template.Template) []template.Key {
	if after == nil {
		return nil
	}
	var now []template.Key
	if after.Workload != nil {
		now = after.Workload.Needs
	}
	return n.set(after.Key(), now)
}

// settle forgets a workload and returns what lost it.
func (n *needs) settle(workload template.Key) []template.Key { return n.set(workload, nil) }

func (n *needs) set(workload template.Key, now []template.Key) []template.Key {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.of[workload]
	if slices.Equal(was, now) {
		return nil
	}
	for _, key := range was {
		n.users[key].Delete(workload)
		if n.users[key].Len() == 0 {
			delete(n.users, key)
		}
	}
	for _, key := range now {
		if n.users[key] == nil {
			n.users[key] = sets.New[template.Key]()
		}
		n.users[key].Insert(workload)
	}
	n.of[workload] = now
	if len(now) == 0 {
		delete(n.of, workload)
	}
	return slices.Concat(was, now)
}

// neededBy returns the workloads that need a template.
func (n *needs) neededBy(key template.Key) []template.Key {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.users[key].UnsortedList()
}

// neededOf returns what a workload needs.
func (n *needs) neededOf(workload template.Key) []template.Key {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.of[workload]
}

// requiredBy returns where a template is needed: for each workload that takes what
// it needs along, the members that have it or are to have it. A member that is
// being unjoined is not among them unless it was before.
func (s *Scheduler) requiredBy(subject *subject) []workv1alpha1.BindingSnapshot {
	users := s.needs.neededBy(subject.key)
	if len(users) == 0 {
		return nil
	}
	members := s.cache.Members()
	var out []workv1alpha1.BindingSnapshot
	for _, key := range users {
		binding := s.cache.Binding(key)
		if binding == nil || !binding.GetSpec().PropagateDeps {
			continue
		}
		snapshot := workv1alpha1.BindingSnapshot{Namespace: binding.GetNamespace(), Name: binding.GetName()}
		before := subject.required(snapshot)
		on := s.cache.MembersOf(key)
		for _, task := range binding.GetSpec().GracefulEvictionTasks {
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
	overrides, err := s.resolveOverrides(d.template, sets.List(wanted.Holders()))
	if err != nil {
		d.wakeOn |= framework.AnyEvent
		return
	}
	wanted.Overrides = overrides
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
