// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
)

// Store holds an Interpreter. It is safe for concurrent use.
type Store struct {
	builtin []*configv1alpha1.ResourceInterpreterCustomization
	current atomic.Pointer[interpreter.Interpreter]

	mu        sync.Mutex
	users     map[string]*configv1alpha1.ResourceInterpreterCustomization
	listeners []Listener
}

// Listener is told of kinds whose rules, one of those it named at least, have another
// answer from now on. It is called one change at a time and must not block.
type Listener struct {
	// Rules that it asks.
	Rules []interpreter.Rule
	// Changed is called with the kinds, in no order.
	Changed func(kinds []schema.GroupVersionKind)
}

// New returns a Store that knows the built-in customizations alone.
func New(builtin []*configv1alpha1.ResourceInterpreterCustomization) *Store {
	s := &Store{builtin: builtin, users: map[string]*configv1alpha1.ResourceInterpreterCustomization{}}
	s.current.Store(interpreter.New(nil, builtin))
	return s
}

// Interpreter returns the Interpreter of the moment.
func (s *Store) Interpreter() *interpreter.Interpreter { return s.current.Load() }

// Listen has a listener told of changes from now on.
func (s *Store) Listen(listener Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, listener)
}

// Follow has the store learn from an informer of ResourceInterpreterCustomizations. It
// returns whether all there were at first have been learned.
func (s *Store) Follow(informer cache.SharedIndexInformer) (cache.InformerSynced, error) {
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    s.added,
		UpdateFunc: func(_, updated any) { s.added(updated) },
		DeleteFunc: s.deleted,
	})
	if err != nil {
		return nil, fmt.Errorf("follow customizations: %w", err)
	}
	return registration.HasSynced, nil
}

func (s *Store) added(object any) {
	if customization, ok := object.(*configv1alpha1.ResourceInterpreterCustomization); ok {
		s.Put(customization)
	}
}

func (s *Store) deleted(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	if customization, ok := object.(*configv1alpha1.ResourceInterpreterCustomization); ok {
		s.Delete(customization.Name)
	}
}

// Put takes in a customization that was added or changed, and keeps it.
func (s *Store) Put(customization *configv1alpha1.ResourceInterpreterCustomization) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.users[customization.Name]
	if known != nil && known.UID == customization.UID && known.Generation == customization.Generation && known.Generation > 0 {
		return
	}
	s.users[customization.Name] = customization
	s.replace()
}

// Delete takes in that a customization is gone.
func (s *Store) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, name)
	s.replace()
}

// replace makes the Interpreter anew and tells the listeners.
func (s *Store) replace() {
	before := s.current.Load()
	now := interpreter.New(slices.Collect(maps.Values(s.users)), s.builtin)
	s.current.Store(now)
	kinds := sets.New(before.Kinds()...).Insert(now.Kinds()...)
	for _, listener := range s.listeners {
		var changed []schema.GroupVersionKind
		for kind := range kinds {
			if !now.Same(before, kind, listener.Rules...) {
				changed = append(changed, kind)
			}
		}
		if len(changed) > 0 {
			listener.Changed(changed)
		}
	}
}
