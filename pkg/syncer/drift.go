// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// objectChanged has the work of an object looked at again when the object
// changed in the member: its status is to be reported, or a field of ours was
// changed and is to be put right. Which of them it is shows the look.
func (s *session) objectChanged(kind schema.GroupVersionKind, old, now *observed, version string) {
	object := now
	if object == nil {
		object = old
	}
	identity := target{kind: kind, namespace: object.Namespace, name: object.Name}.identity()
	s.mu.Lock()
	name, known := s.targets[identity]
	record := s.records[name]
	own := false
	switch {
	case !known || record == nil:
	case now == nil:
		record.vanished(old.UID, version)
	default:
		// What the last write returned was reported with it.
		own = record.applied != nil && record.applied.ResourceVersion == now.ResourceVersion
	}
	s.mu.Unlock()
	if known && !own {
		s.enqueue(name)
	}
}

// kindCompleted has the works of a kind looked at once its mirror is complete,
// and says what in it nobody asked for. That is left running: an older or
// restored fleet must not delete what it does not remember.
func (s *session) kindCompleted(kind schema.GroupVersionKind, mirror *mirror[*observed]) {
	wanted := map[objectIdentity]bool{}
	s.mirror.each(func(_ string, work *workv1alpha1.Work) {
		t := targetOf(work)
		wanted[t.identity()] = true
		if t.kind == kind {
			s.enqueueAs(work.Name, rankOf(kind.GroupKind()))
		}
	})
	unknown := 0
	mirror.each(func(key string, object *observed) {
		if object.templateUID() != "" && !wanted[objectIdentity{kind: kind.GroupKind(), key: key}] {
			unknown++
		}
	})
	if unknown > 0 {
		s.logger.Info("Member has objects of this fleet that are unknown to it; they are left running", "kind", kind.Kind, "count", unknown)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unknown[kind] = unknown
	total := 0
	for _, count := range s.unknown {
		total += count
	}
	unknownObjects.WithLabelValues(s.cluster).Set(float64(total))
}
