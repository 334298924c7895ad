// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// mirror is what a reflector fills: a copy of the objects on a server, each cut
// down to a T. It is a small informer: one listener, no queue in between, no
// goroutine of its own.
type mirror[T interface {
	comparable
	metav1.ObjectMetaAccessor
}] struct {
	// cut makes a T of what the server sent. It returns a T as it is.
	cut func(any) (T, error)
	// changed is told of every change, with the zero T for what was or is not
	// there, and the resourceVersion that brought it. It is called from one
	// goroutine, in order, with no lock held, and must not block.
	changed func(old, now T, version string)
	// completed is called once, when the first list is complete.
	completed func()

	mu     sync.RWMutex
	items  map[string]T
	synced chan struct{} // closed once the first list is complete
}

func newMirror[T interface {
	comparable
	metav1.ObjectMetaAccessor
}](cut func(any) (T, error), changed func(old, now T, version string), completed func()) *mirror[T] {
	return &mirror[T]{cut: cut, changed: changed, completed: completed, items: map[string]T{}, synced: make(chan struct{})}
}

// get returns the object with the key namespace/name, or name.
func (m *mirror[T]) get(key string) (T, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	item, ok := m.items[key]
	return item, ok
}

// each calls f for every object. The mirror does not change meanwhile.
func (m *mirror[T]) each(f func(key string, item T)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for key, item := range m.items {
		f(key, item)
	}
}

// hasSynced returns true once the mirror was complete.
func (m *mirror[T]) hasSynced() bool {
	select {
	case <-m.synced:
		return true
	default:
		return false
	}
}

// Add implements cache.ReflectorStore.
func (m *mirror[T]) Add(object any) error { return m.Update(object) }

// Update implements cache.ReflectorStore.
func (m *mirror[T]) Update(object any) error {
	now, key, err := m.take(object)
	if err != nil {
		return err
	}
	m.mu.Lock()
	old := m.items[key]
	m.items[key] = now
	m.mu.Unlock()
	m.changed(old, now, now.GetObjectMeta().GetResourceVersion())
	return nil
}

// Delete implements cache.ReflectorStore.
func (m *mirror[T]) Delete(object any) error {
	last, key, err := m.take(object)
	if err != nil {
		return err
	}
	var none T
	m.mu.Lock()
	old, ok := m.items[key]
	delete(m.items, key)
	m.mu.Unlock()
	if ok {
		m.changed(old, none, last.GetObjectMeta().GetResourceVersion())
	}
	return nil
}

// Replace implements cache.ReflectorStore.
func (m *mirror[T]) Replace(objects []any, version string) error {
	items := make(map[string]T, len(objects))
	for _, object := range objects {
		now, key, err := m.take(object)
		if err != nil {
			return err
		}
		items[key] = now
	}
	m.mu.Lock()
	before := m.items
	m.items = items
	m.mu.Unlock()
	var none T
	for key, now := range items {
		old := before[key]
		if old == none || old.GetObjectMeta().GetResourceVersion() != now.GetObjectMeta().GetResourceVersion() {
			m.changed(old, now, now.GetObjectMeta().GetResourceVersion())
		}
	}
	for key, old := range before {
		if _, ok := items[key]; !ok {
			m.changed(old, none, version)
		}
	}
	if !m.hasSynced() {
		close(m.synced)
		m.completed()
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (m *mirror[T]) Resync() error { return nil }

// Transformer implements cache.TransformingStore, so that a long initial list is
// never held in full.
func (m *mirror[T]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return m.cut(object) }
}

func (m *mirror[T]) take(object any) (T, string, error) {
	item, err := m.cut(object)
	if err != nil {
		return item, "", err
	}
	key, err := cache.MetaNamespaceKeyFunc(item)
	if err != nil {
		return item, "", fmt.Errorf("read name of object: %w", err)
	}
	return item, key, nil
}
