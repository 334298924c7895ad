// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// orphans remembers the templates whose deletion asked to leave the objects of
// members, from the event that is the last to say so until their binding does. It
// is safe for concurrent use.
type orphans struct {
	mu   sync.Mutex
	uids map[template.Key]sets.Set[types.UID]
}

func newOrphans() *orphans { return &orphans{uids: map[template.Key]sets.Set[types.UID]{}} }

// update learns of a template that is not known any more to be orphaned, because
// it or its finalizer is gone.
func (o *orphans) update(before, after *template.Template) {
	if before == nil || !before.Orphaned || after != nil && after.UID == before.UID && after.Orphaned {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.uids[before.Key()] == nil {
		o.uids[before.Key()] = sets.New[types.UID]()
	}
	o.uids[before.Key()].Insert(before.UID)
}

func (o *orphans) has(key template.Key, uid types.UID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.uids[key].Has(uid)
}

// settle forgets the templates of a name, but for the one that a binding with that
// spec still has in members. The spec is nil when there is no binding.
func (o *orphans) settle(key template.Key, spec *workv1alpha1.BindingSpec) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if spec != nil && o.uids[key].Has(spec.Resource.UID) && spec.Holders().Len() > 0 {
		o.uids[key] = sets.New(spec.Resource.UID)
		return
	}
	delete(o.uids, key)
}

// tombstones are those of the binding and, when its template was orphaned, one
// more for each member that releases the object there instead of deleting it. The
// registry takes them in the write by which the members leave, in no later one.
func (s *subject) tombstones() []workv1alpha1.Tombstone {
	spec := s.binding.GetSpec()
	if !s.orphaned {
		return spec.Tombstones
	}
	tombstones := slices.Clone(spec.Tombstones)
	for _, member := range sets.List(spec.Holders()) {
		tombstones = append(tombstones, workv1alpha1.Tombstone{ClusterName: member, UID: spec.Resource.UID, Orphan: true})
	}
	return tombstones
}
