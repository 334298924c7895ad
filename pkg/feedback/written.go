// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// cacheLag is how long a cache may be behind a write of this process. One that is
// behind for longer belongs to a server that is not ready.
const cacheLag = 5 * time.Minute

// versions are the resource versions this process wrote last for one binding.
type versions struct {
	binding, template string
}

// written remembers what this process wrote lately, so that a cache which has not
// caught up is not believed. Entries live between one and two cacheLags. It is
// safe for concurrent use; the zero value is empty.
type written struct {
	mu          sync.Mutex
	young, aged map[types.NamespacedName]versions
	rotated     time.Time
}

// last returns what was written last for a binding.
func (w *written) last(name types.NamespacedName) versions {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.get(name)
}

func (w *written) get(name types.NamespacedName) versions {
	if v, ok := w.young[name]; ok {
		return v
	}
	return w.aged[name]
}

// remember notes a write.
func (w *written) remember(now time.Time, name types.NamespacedName, set func(*versions)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.young == nil || now.Sub(w.rotated) > cacheLag {
		w.young, w.aged, w.rotated = map[types.NamespacedName]versions{}, w.young, now
	}
	v := w.get(name)
	set(&v)
	w.young[name] = v
}

// behind says that the state at a resource version is older than one that is
// known to exist.
func behind(version, known string) bool {
	if known == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(version, known)
	return err != nil || order < 0
}
