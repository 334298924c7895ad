// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// mounts knows which workloads mount which PersistentVolumeClaims.
type mounts struct {
	mu     *sync.RWMutex
	claims map[template.Key]sets.Set[template.Key]
}

func newMounts() mounts {
	return mounts{mu: &sync.RWMutex{}, claims: map[template.Key]sets.Set[template.Key]{}}
}

// update learns of a changed workload and returns the claims that gained or lost
// it.
func (m mounts) update(before, after *template.Template) []template.Key {
	was, is := claimsOf(before), claimsOf(after)
	if slices.Equal(was, is) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, claim := range was {
		m.claims[claim].Delete(before.Key())
		if len(m.claims[claim]) == 0 {
			delete(m.claims, claim)
		}
	}
	for _, claim := range is {
		if m.claims[claim] == nil {
			m.claims[claim] = sets.New[template.Key]()
		}
		m.claims[claim].Insert(after.Key())
	}
	return append(was, is...)
}

// users returns the workloads that mount a claim.
func (m mounts) users(claim template.Key) []template.Key {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.claims[claim].UnsortedList()
}

func claimsOf(t *template.Template) []template.Key {
	if t == nil || t.Workload == nil {
		return nil
	}
	keys := make([]template.Key, 0, len(t.Workload.Claims))
	for _, name := range t.Workload.Claims {
		keys = append(keys, claimKey(t.Namespace, name))
	}
	return keys
}
