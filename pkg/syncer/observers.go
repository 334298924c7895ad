// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/listwatch"
	"fleet.dev/fleet/pkg/member"
)

// observers mirror the objects of the fleet in one member, one mirror for each
// kind that has works. They start when first asked for and end when the member
// no longer serves the kind.
type observers struct {
	member  member.Connection
	fleetID string
	// interpreter returns what reads objects of the moment.
	interpreter func() *interpreter.Interpreter
	// changed is told of every change of an object of a kind; see mirror.
	changed func(kind schema.GroupVersionKind, old, now *observed, version string)
	// completed is told when the mirror of a kind is complete.
	completed func(kind schema.GroupVersionKind, mirror *mirror[*observed])

	mu      sync.Mutex
	running map[schema.GroupVersionKind]*observer
	// starting are the observers run has not seen yet.
	starting []*observer
	wake     chan struct{}
}

// observer mirrors one kind.
type observer struct {
	resource member.Resource
	mirror   *mirror[*observed]
	stop     chan struct{}
}

func newObservers(
	connection member.Connection, fleetID string, by func() *interpreter.Interpreter,
	changed func(kind schema.GroupVersionKind, old, now *observed, version string),
	completed func(kind schema.GroupVersionKind, mirror *mirror[*observed]),
) *observers {
	return &observers{
		member: connection, fleetID: fleetID, interpreter: by, changed: changed, completed: completed,
		running: map[schema.GroupVersionKind]*observer{}, wake: make(chan struct{}, 1),
	}
}

// of returns the mirror of a kind and starts it when there is none.
func (o *observers) of(kind schema.GroupVersionKind, resource member.Resource) *mirror[*observed] {
	o.mu.Lock()
	defer o.mu.Unlock()
	if running, ok := o.running[kind]; ok && running.resource == resource {
		return running.mirror
	} else if ok {
		close(running.stop)
	}
	started := &observer{resource: resource, stop: make(chan struct{})}
	started.mirror = newMirror(func(object any) (*observed, error) { return observe(object, o.interpreter()) },
		func(old, now *observed, version string) { o.changed(kind, old, now, version) },
		func() { o.completed(kind, started.mirror) })
	o.running[kind] = started
	o.starting = append(o.starting, started)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return started.mirror
}

// retain ends the observers of kinds the member no longer serves.
func (o *observers) retain(apis *member.APIs) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for kind, running := range o.running {
		if _, served := apis.Resource(kind); !served {
			close(running.stop)
			delete(o.running, kind)
		}
	}
}

// restart ends the observers of kinds that are read otherwise from now on. Others take
// their place when they are asked for.
func (o *observers) restart(kinds []schema.GroupVersionKind) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, kind := range kinds {
		if running, ok := o.running[kind]; ok {
			close(running.stop)
			delete(o.running, kind)
		}
	}
}

// run runs the observers until ctx ends.
func (o *observers) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		for _, started := range o.takeStarting() {
			wg.Go(func() { o.follow(ctx, started) })
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
	}
}

func (o *observers) takeStarting() []*observer {
	o.mu.Lock()
	defer o.mu.Unlock()
	starting := o.starting
	o.starting = nil
	return starting
}

// follow mirrors one kind until its observer is stopped.
func (o *observers) follow(ctx context.Context, started *observer) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-ctx.Done():
		case <-started.stop:
			cancel()
		}
	}()
	objects := o.member.Objects().Resource(started.resource.GroupVersionResource)
	lw := listwatch.Some(objects, metav1.ListOptions{LabelSelector: wellknown.LabelManagedBy + "=" + o.fleetID})
	o.member.Follow(ctx, started.resource.Resource, cache.ToListWatcherWithWatchListSemantics(lw, o.member.Objects()), started.mirror)
}
