// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"sync"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
)

// mapper maps kinds to resources from discovery. A kind it does not know makes it
// look again, at most once a second, so that custom resources are found soon
// after their definition without asking for each miss.
type mapper struct {
	meta.ResettableRESTMapper

	mu     sync.Mutex
	resets *rate.Limiter
}

func newMapper(client discovery.DiscoveryInterface) meta.RESTMapper {
	return &mapper{
		ResettableRESTMapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client)),
		resets:               rate.NewLimiter(1, 1),
	}
}

// RESTMapping returns the resource of a kind.
func (m *mapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	mapping, err := m.ResettableRESTMapper.RESTMapping(kind, versions...)
	if !meta.IsNoMatchError(err) || !m.reset() {
		return mapping, err
	}
	return m.ResettableRESTMapper.RESTMapping(kind, versions...)
}

func (m *mapper) reset() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.resets.Allow() {
		return false
	}
	m.Reset()
	return true
}
