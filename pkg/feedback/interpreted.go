// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/rollup"
)

// Reinterpret makes the status of every template of the kinds anew, because their
// customizations changed.
func (i *Intake) Reinterpret(kinds []schema.GroupVersionKind) {
	for _, name := range i.interpreted.of(kinds) {
		i.Resync(name)
	}
}

// interpreted knows the bindings of kinds whose status customizations may have a say
// in. It is safe for concurrent use.
type interpreted struct {
	mu     sync.Mutex
	byKind map[schema.GroupVersionKind]sets.Set[types.NamespacedName]
}

func (r *interpreted) remember(kind schema.GroupVersionKind, binding types.NamespacedName) {
	if rollup.Native(kind.GroupKind()) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKind == nil {
		r.byKind = map[schema.GroupVersionKind]sets.Set[types.NamespacedName]{}
	}
	if r.byKind[kind] == nil {
		r.byKind[kind] = sets.New[types.NamespacedName]()
	}
	r.byKind[kind].Insert(binding)
}

// forget drops a binding that is gone.
func (r *interpreted) forget(binding types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind, bindings := range r.byKind {
		bindings.Delete(binding)
		if bindings.Len() == 0 {
			delete(r.byKind, kind)
		}
	}
}

func (r *interpreted) of(kinds []schema.GroupVersionKind) []types.NamespacedName {
	r.mu.Lock()
	defer r.mu.Unlock()
	var bindings []types.NamespacedName
	for _, kind := range kinds {
		bindings = append(bindings, r.byKind[kind].UnsortedList()...)
	}
	return bindings
}
