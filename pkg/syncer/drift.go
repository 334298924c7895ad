// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
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
// and counts what nobody asked for.
func (s *session) kindCompleted(kind schema.GroupVersionKind) {
	var names []string
	s.mu.Lock()
	for name, record := range s.records {
		if record.target.kind == kind {
			names = append(names, name)
		}
	}
	s.mu.Unlock()
	for _, name := range names {
		s.enqueue(name)
	}
}
