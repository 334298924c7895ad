// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rebalance

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// versions are the resource versions of objects as this process wrote them last, by
// key, until an informer has them.
type versions struct {
	mu   *sync.Mutex
	last map[string]string
}

func newVersions() versions { return versions{mu: &sync.Mutex{}, last: map[string]string{}} }

func (v versions) wrote(key string, object metav1.Object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last[key] = object.GetResourceVersion()
}

// behind reports whether a cached object is older than what was written.
func (v versions) behind(key string, cached metav1.Object) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	written, ok := v.last[key]
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(cached.GetResourceVersion(), written); err == nil && order < 0 {
		return true
	}
	delete(v.last, key)
	return false
}
