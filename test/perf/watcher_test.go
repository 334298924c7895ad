// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// view is what is known of one Deployment: as the fleet has it, nil when it has
// not, and as the members that have it do.
type view struct {
	fleet   *appsv1.Deployment
	members map[string]*appsv1.Deployment
}

// waiter waits for a condition of one Deployment.
type waiter struct {
	until func(view) bool
	done  chan time.Time
}

// watcher follows all Deployments of a fleet and its members and says when one
// reached a state. One watch per API server serves both ways.
type watcher struct {
	mu      sync.Mutex
	views   map[string]view
	waiters map[string][]waiter
}

// fleetPlace is the place of the fleet among the names of members.
const fleetPlace = ""

// newWatcher watches the API servers, the fleet's under fleetPlace, until ctx ends.
func newWatcher(ctx context.Context, servers map[string]kubernetes.Interface) (*watcher, error) {
	w := &watcher{views: map[string]view{}, waiters: map[string][]waiter{}}
	for place, server := range servers {
		informer := informers.NewSharedInformerFactory(server, 0).Apps().V1().Deployments().Informer()
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { w.saw(place, object, true) },
			UpdateFunc: func(_, object any) { w.saw(place, object, true) },
			DeleteFunc: func(object any) { w.saw(place, object, false) },
		}); err != nil {
			return nil, err
		}
		go informer.RunWithContext(ctx)
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return nil, fmt.Errorf("watch deployments of %q: %w", place, ctx.Err())
		}
	}
	return w, nil
}

// key names a workload in views and waiters.
func key(namespace, name string) string { return namespace + "/" + name }

// saw takes in one event and wakes those whose condition it meets.
func (w *watcher) saw(place string, object any, exists bool) {
	now := time.Now()
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	d, ok := object.(*appsv1.Deployment)
	if !ok {
		return
	}
	id := key(d.Namespace, d.Name)
	if !exists {
		d = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.views[id]
	if v.members == nil {
		v.members = map[string]*appsv1.Deployment{}
	}
	switch {
	case place == fleetPlace:
		v.fleet = d
	case exists:
		v.members[place] = d
	default:
		delete(v.members, place)
	}
	w.views[id] = v
	w.wake(id, v, now)
}

// wake ends the waits for id that v satisfies. Callers hold w.mu.
func (w *watcher) wake(id string, v view, now time.Time) {
	var waiting []waiter
	for _, one := range w.waiters[id] {
		if one.until(v) {
			one.done <- now
			continue
		}
		waiting = append(waiting, one)
	}
	w.waiters[id] = waiting
}

// expect begins to wait until a condition of a Deployment is met. The time comes on
// the channel; a condition that is met already counts from now.
func (w *watcher) expect(id string, until func(view) bool) <-chan time.Time {
	done := make(chan time.Time, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiters[id] = append(w.waiters[id], waiter{until: until, done: done})
	w.wake(id, w.views[id], time.Now())
	return done
}

// stateOf says what is known of a Deployment, for errors.
func (w *watcher) stateOf(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.views[id]
	out := "fleet: " + describe(v.fleet)
	for name, d := range v.members {
		out += ", " + name + ": " + describe(d)
	}
	return out
}

func describe(d *appsv1.Deployment) string {
	if d == nil {
		return "none"
	}
	return fmt.Sprintf("generation %d observed %d, replicas %d updated %d available %d",
		d.Generation, d.Status.ObservedGeneration, *d.Spec.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas)
}
