// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/listwatch"
)

// rediscoverInterval is the time after which the APIs are looked at though
// nothing seems to have changed.
const rediscoverInterval = 10 * time.Minute

// publishDelay is how long an API server may take to publish the schema of a
// CRD it serves already.
const publishDelay = 10 * time.Second

// apiResources are the kinds whose changes change what a member serves.
var apiResources = []schema.GroupVersionResource{
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"},
}

// discoverLoop looks at the member's APIs when the bell rings, a while after
// that again, and at intervals.
func (m *Member) discoverLoop(ctx context.Context) {
	ticker := m.clock.NewTicker(rediscoverInterval)
	defer ticker.Stop()
	again := m.clock.NewTimer(publishDelay)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		case <-again.C():
		case <-m.refreshNow:
			again.Reset(publishDelay)
		}
		if !m.awaitUsable(ctx) || m.pace.Wait(ctx) != nil {
			return
		}
		if err := m.discover(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).V(2).Info("Discovery of member failed; what is known stays", "cluster", m.name, "err", err)
			m.refreshNow.ring()
		}
	}
}

// awaitUsable waits until requests to the member make sense. It returns false
// when ctx ended.
func (m *Member) awaitUsable(ctx context.Context) bool {
	for {
		health, changed := m.health.get()
		if health.Usable {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// discover looks at the member's APIs once.
func (m *Member) discover(ctx context.Context) error {
	_, lists, err := m.discovery.ServerGroupsAndResources()
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		return fmt.Errorf("discover the APIs of member %q: %w", m.name, err)
	}
	if len(lists) == 0 {
		return fmt.Errorf("discover the APIs of member %q: it lists none", m.name)
	}
	known := m.apis.Load()
	found := newAPIs(lists, failed, known)
	hash := found.hash()
	changed := hash != known.hash()
	if changed {
		m.apis.Store(m.catalog.apis.put(hash, found))
		klog.FromContext(ctx).V(2).Info("APIs of member changed", "cluster", m.name, "kinds", len(found.kinds), "complete", found.Complete())
	}
	reschemed, err := m.refreshDocuments(ctx)
	if (changed || reschemed) && m.apisChanged != nil {
		m.apisChanged()
	}
	return err
}

// followAPIs rings the bell whenever an object of the resource changes.
func (m *Member) followAPIs(ctx context.Context, resource schema.GroupVersionResource) {
	objects := m.metadata.Resource(resource)
	m.Follow(ctx, resource.Resource, listwatch.All(objects), ringing{m.refreshNow})
}

// ringing is a store that keeps nothing and rings a bell at every change.
type ringing struct{ bell bell }

var _ cache.TransformingStore = ringing{}

func (r ringing) Add(any) error               { r.bell.ring(); return nil }
func (r ringing) Update(any) error            { r.bell.ring(); return nil }
func (r ringing) Delete(any) error            { r.bell.ring(); return nil }
func (r ringing) Replace([]any, string) error { r.bell.ring(); return nil }
func (r ringing) Resync() error               { return nil }
func (r ringing) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		if partial, ok := object.(*metav1.PartialObjectMetadata); ok {
			partial.ObjectMeta = metav1.ObjectMeta{Name: partial.Name, ResourceVersion: partial.ResourceVersion}
		}
		return object, nil
	}
}
