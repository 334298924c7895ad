// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/listwatch"
	"fleet.dev/fleet/pkg/member"
)

// session carries works to one member and reports back. It shares nothing with
// other sessions but the process, so that one member's trouble delays no other.
type session struct {
	cluster   string
	namespace string
	fleetID   string
	workers   int
	clock     clock.WithTicker
	logger    klog.Logger
	member    member.Connection
	fleet     versioned.Interface
	// interpretations say how custom resources are read.
	interpretations *store.Store

	queue     workqueue.TypedDelayingInterface[item]
	mirror    *mirror[*workv1alpha1.Work]
	observers *observers
	reporter  *reporter
	// unschedulable are Pods of the member.
	unschedulable *unschedulable
	// autoscaled are objects whose replicas an autoscaler sets.
	autoscaled *autoscaled
	// occupants of namespaces.
	occupants *occupants
	// owners of objects.
	owners *owners

	mu sync.Mutex
	// records are what is known about each work, by name.
	records map[string]*record
	// targets are the names of the works, by the object they are about.
	targets map[objectIdentity]string
	// namespaces are known to exist in the member.
	namespaces map[string]struct{}
	// unknown are the objects no work asks for.
	unknown unknown
	// sightings of works, and of their Pods.
	sightings *sightings

	// sweepDelay is that of the constant, except in tests. unknownChanged is called
	// when unknown changed; nil is allowed.
	sweepDelay     time.Duration
	unknownChanged func()
	// slowLook is the constant, except in tests.
	slowLook time.Duration
	// forgotten says that a work went without having been a tombstone.
	forgotten chan struct{}
}

// sessionOptions are what a session is made of.
type sessionOptions struct {
	cluster string
	fleetID string
	workers int
	clock   clock.WithTicker
	logger  klog.Logger // for what happens outside of run
	member  member.Connection
	fleet   versioned.Interface
	// interpretations say how custom resources are read.
	interpretations *store.Store
	// sweepDelay is 0 except in tests.
	sweepDelay time.Duration
	// slowLook is 0 except in tests.
	slowLook time.Duration
	// unknownChanged is told when other objects than before are unknown. Optional.
	unknownChanged func()
}

func newSession(options sessionOptions) *session {
	namespace := clusterv1alpha1.MemberNamespace(options.cluster)
	s := &session{
		cluster:    options.cluster,
		namespace:  namespace,
		fleetID:    options.fleetID,
		workers:    options.workers,
		clock:      options.clock,
		logger:     options.logger,
		member:     options.member,
		fleet:      options.fleet,
		records:    map[string]*record{},
		targets:    map[objectIdentity]string{},
		namespaces: map[string]struct{}{},
		sweepDelay: cmp.Or(options.sweepDelay, sweepDelay),
		slowLook:   cmp.Or(options.slowLook, slowLook),

		unknownChanged:  options.unknownChanged,
		unschedulable:   newUnschedulable(options.clock),
		sightings:       newSightings(),
		interpretations: options.interpretations,
		autoscaled:      newAutoscaled(),
		occupants:       newOccupants(),
		owners:          newOwners(),
		forgotten:       make(chan struct{}, 1),
	}
	s.queue = workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[item]{
		Clock: options.clock,
		Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[item]{Clock: options.clock, Queue: newRanked()}),
	})
	s.reporter = newReporter(options.fleet.WorkV1alpha1().WorkFeedbacks(namespace), options.clock, s.reportDropped)
	s.mirror = newMirror(cutWork, s.workChanged, func() {})
	s.observers = newObservers(options.member, options.fleetID, s.interpretations.Interpreter, s.objectChanged, s.kindCompleted)
	return s
}

// run carries until ctx ends.
func (s *session) run(ctx context.Context) error {
	defer queueDepth.DeleteLabelValues(s.cluster)
	defer unknownObjects.DeleteLabelValues(s.cluster)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.followWorks(ctx); return nil })
	group.Go(func() error { s.observers.run(ctx); return nil })
	group.Go(func() error { s.reporter.run(ctx); return nil })
	group.Go(func() error { s.watchHealth(ctx); return nil })
	group.Go(func() error { s.process(ctx); return nil })
	group.Go(func() error { s.sweepUnknown(ctx); return nil })
	return group.Wait()
}

// followWorks mirrors the member's works.
func (s *session) followWorks(ctx context.Context) {
	works := s.fleet.WorkV1alpha1().Works(s.namespace)
	followFleet(ctx, s.cluster+"/works", patient(listwatch.All(works), s.fleet, s.clock), &workv1alpha1.Work{}, workMirror{s.mirror, s.autoscaled}, s.clock)
}

// cutWork leaves out of a work what the syncer does not need.
func cutWork(object any) (*workv1alpha1.Work, error) {
	work, ok := object.(*workv1alpha1.Work)
	if !ok {
		return nil, fmt.Errorf("read work: unexpected type %T", object)
	}
	work.ManagedFields, work.Labels, work.Annotations = nil, nil, nil
	work.Status = workv1alpha1.WorkStatus{}
	return work, nil
}

// workChanged has a work looked at. A work that is gone is forgotten; the object
// it was about stays as it is.
func (s *session) workChanged(old, now *workv1alpha1.Work, version string) {
	s.occupants.note(old, now)
	s.noteOwners(old, now)
	if now == nil {
		s.noteForgotten(old)
		s.noteAutoscaler(old.Name, nil)
		s.enqueueAs(old.Name, rankOf(targetOf(old).kind.GroupKind()))
		return
	}
	s.sightings.see(now, version, s.clock.Now())
	s.noteAutoscaler(now.Name, now)
	s.enqueueAs(now.Name, rankOf(targetOf(now).kind.GroupKind()))
}

// carried returns the version up to which the Pods of works have nodes.
func (s *session) carried() string { return s.sightings.version(s.clock.Now()) }

// watchHealth has everything looked at again when the member is usable after it
// was not: what was given up on meanwhile, and what it missed.
func (s *session) watchHealth(ctx context.Context) {
	usable := false
	for {
		health, changed := s.member.Health()
		if health.Usable && !usable {
			s.enqueueAll(func(*record) bool { return true })
		}
		usable = health.Usable
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// apisChanged has the works looked at again whose kinds, or fields, the member
// may know now, or no longer.
func (s *session) apisChanged() {
	apis := s.member.APIs()
	s.observers.retain(apis)
	s.enqueueAll(func(r *record) bool {
		_, served := apis.Resource(r.target.kind)
		return r.revisit || !served
	})
}

// interpretationsChanged has the works of kinds looked at again that are read
// otherwise from now on.
func (s *session) interpretationsChanged(kinds []schema.GroupVersionKind) {
	s.observers.restart(kinds)
	s.enqueueAll(func(r *record) bool { return slices.Contains(kinds, r.target.kind) })
}

func (s *session) enqueueAll(which func(*record) bool) {
	s.mu.Lock()
	items := make([]item, 0, len(s.records))
	for name, record := range s.records {
		if which(record) {
			items = append(items, item{name: name, rank: record.rank})
		}
	}
	s.mu.Unlock()
	for _, i := range items {
		s.queue.Add(i)
	}
}

// enqueue has a known work looked at.
func (s *session) enqueue(name string) {
	s.mu.Lock()
	record, ok := s.records[name]
	s.mu.Unlock()
	if ok {
		s.enqueueAs(name, record.rank)
	}
}

func (s *session) enqueueAs(name string, rank rank) {
	s.queue.Add(item{name: name, rank: rank})
}

// process looks at works, so many at a time, until ctx ends. Workers are started
// when there is something to do: an idle member costs one goroutine.
func (s *session) process(ctx context.Context) {
	stop := context.AfterFunc(ctx, s.queue.ShutDown)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots, slow := make(chan struct{}, s.workers), newLane(s.workers, s.slowLook)
	depth := queueDepth.WithLabelValues(s.cluster)
	for {
		next, shutdown := s.queue.Get()
		if shutdown {
			return
		}
		depth.Set(float64(s.queue.Len()))
		if !slow.enter(next) {
			s.queue.Done(next)
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			defer s.queue.Done(next)
			defer utilruntime.HandleCrashWithContext(ctx)
			started := s.clock.Now()
			settled := s.look(ctx, next)
			if parked, ok := slow.leave(next.name, settled, s.clock.Since(started)); ok {
				s.queue.Add(parked)
			}
		})
	}
}

// look looks at one work. It returns false when the member did not do what was wanted.
func (s *session) look(ctx context.Context, next item) bool {
	if ctx.Err() != nil {
		return true
	}
	work, ok := s.mirror.get(s.namespace + "/" + next.name)
	if !ok {
		s.forget(next.name)
		return true
	}
	record := s.recordOf(work, next.rank)
	if health, _ := s.member.Health(); !health.Usable {
		return true // watchHealth brings it back
	}
	o := s.carry(ctx, work, record)
	if ctx.Err() != nil {
		return true
	}
	s.mu.Lock()
	record.revisit = o.reason == "" || o.reason == workv1alpha1.AppliedReasonKindNotServed || len(record.trimmed) > 0
	s.mu.Unlock()
	pods, again := s.unschedulable.of(record.target.identity())
	if o.unschedulable = notRunning(pods, o.object); again > 0 {
		s.queue.AddAfter(next, again)
	}
	if o.reason != "" && !record.mayPass(o) {
		if err := s.report(work, record, o); err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Work cannot be reported on", "cluster", s.cluster, "work", work.Name)
		}
	}
	if delay, again := record.delay(o); again {
		s.queue.AddAfter(next, delay)
	}
	return o.applied || o.deleted
}

// carry does what the work says.
func (s *session) carry(ctx context.Context, work *workv1alpha1.Work, record *record) outcome {
	switch {
	case isTrue(work.Spec.SuspendDispatching):
		return s.suspended(ctx, work, record)
	case work.Spec.Deleted:
		return s.prune(ctx, work, record)
	default:
		return s.propagate(ctx, work, record)
	}
}

// suspended leaves the object alone and reports it as it is.
func (s *session) suspended(ctx context.Context, work *workv1alpha1.Work, record *record) outcome {
	resource, ok := s.member.APIs().Resource(record.target.kind)
	if !ok {
		return s.notServed(record.target)
	}
	mirror := s.observers.of(record.target.kind, resource)
	if !mirror.hasSynced() {
		return s.unread(record, resource)
	}
	live := s.latest(record, mirror)
	owners := s.resolveOwners(work)
	defer s.owners.release(owners)
	o := refused(workv1alpha1.AppliedReasonSuspended, "dispatching is suspended", live, never)
	switch {
	case work.Spec.Deleted || live == nil:
	case record.settled.holds(s.desiredHash(work, owners), live):
		o.applied = true
	default:
		o.drift = s.driftOf(ctx, work, owners, live)
	}
	return o
}

// reportDropped has a work looked at again, after a while, whose report the fleet
// dropped: if it still is about something, the fleet did not know that yet.
func (s *session) reportDropped(name string) {
	s.mu.Lock()
	record, ok := s.records[name]
	s.mu.Unlock()
	if ok {
		s.queue.AddAfter(item{name: name, rank: record.rank}, later.backoff(1))
	}
}

// recordOf returns the record of a work, a new one when the work is another one
// of the same name.
func (s *session) recordOf(work *workv1alpha1.Work, rank rank) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.records[work.Name]
	t := targetOf(work)
	if ok && known.uid == work.UID && known.target == t {
		return known
	}
	if ok {
		delete(s.targets, known.target.identity())
	}
	record := &record{uid: work.UID, target: t, rank: rank}
	s.records[work.Name] = record
	s.targets[t.identity()] = work.Name
	return record
}

// forget drops what is known about a work that is gone.
func (s *session) forget(name string) {
	s.reporter.forget(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if record, ok := s.records[name]; ok {
		if s.targets[record.target.identity()] == name {
			delete(s.targets, record.target.identity())
		}
		delete(s.records, name)
	}
}

// latest returns the member's object of a work, as far as the mirror or the last
// write showed it.
func (s *session) latest(record *record, mirror *mirror[*observed]) *observed {
	seen, _ := mirror.get(record.target.key())
	s.mu.Lock()
	defer s.mu.Unlock()
	return record.latest(seen)
}

// objects is the client for the objects beside the target.
func (s *session) objects(resource member.Resource, t target) dynamic.ResourceInterface {
	objects := s.member.Objects().Resource(resource.GroupVersionResource)
	if !resource.Namespaced {
		return objects
	}
	return objects.Namespace(t.namespace)
}
