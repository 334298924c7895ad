// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// surface is one kind as it is served. It follows members only while somebody
// needs their objects and for a while after:
//
//	asleep ──need──► awake ──nobody for IdleAfter──► asleep
//
// What was seen of members stays while it is asleep, so that watches can be
// resumed: who comes waits for members to be read again, and what is different
// then are changes like any other.
type surface struct {
	kind     *Kind
	options  *Options
	union    *union
	follower *follower
	bumping  sync.Mutex // one bump at a time
	// begin writes to etcd before it is followed for the first time.
	begin func(context.Context) error

	mu       sync.Mutex // guards all below
	needed   time.Time
	watchers int
	links    map[string]*runningLink
	// awake is closed once links were started, and made anew when they are stopped.
	awake chan struct{}
	// wake tells run that somebody needs members.
	wake chan struct{}
}

// runningLink is a link that runs.
type runningLink struct {
	*link

	patience time.Time // how long readers wait for it to have read everything
	stop     func()    // and wait
	unready  string
}

func newSurface(kind *Kind, options *Options) *surface {
	return &surface{
		kind: kind, options: options, union: newUnion(kind, options.Owners), links: map[string]*runningLink{},
		awake: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// run follows etcd and, while they are needed, members, until the context ends.
func (s *surface) run(ctx context.Context) {
	defer s.union.ledger.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.followStored(ctx) })
	running.Go(func() { s.followMembers(ctx) })
	if s.kind.Owner != nil {
		running.Go(func() { s.followOwners(ctx) })
	}
	if s.kind.Merge != nil {
		running.Go(func() { s.mergeMembers(ctx) })
	}
}

// followStored follows etcd and retries whatever fails.
func (s *surface) followStored(ctx context.Context) {
	ctx = progressContext(ctx)
	backoff := newBackoff()
	bump := s.begin
	for ctx.Err() == nil {
		started := s.options.Clock.Now()
		err := bump(ctx)
		if err == nil {
			bump = s.options.Bump
			err = s.follower.run(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		s.tell(ctx, err)
		if s.options.Clock.Since(started) > time.Minute {
			backoff = newBackoff()
		}
		s.pause(ctx, backoff.Step())
	}
}

// tell logs why etcd is to be followed anew. What Bump writes into does not exist in
// the first moments of a fleet.
func (s *surface) tell(ctx context.Context, err error) {
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "resource", s.kind.Resource.Resource)
	if apierrors.IsNotFound(err) {
		logger.V(2).Info("Waiting to show objects of members", "reason", err.Error())
		return
	}
	logger.Error(err, "What is stored is to be read from etcd anew")
}

func newBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 8, Cap: 10 * time.Second}
}

// progressContext is the context of the watch of etcd and of requests to tell how
// far it is. Both have to carry the same gRPC metadata, whatever the caller's.
func progressContext(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs("source", "projection"))
}

func (s *surface) pause(ctx context.Context, duration time.Duration) {
	timer := s.options.Clock.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

// reserve makes room for changes in members: it moves etcd on to another revision
// when as many have been counted under one as resource versions can tell apart.
func (s *surface) reserve(ctx context.Context, changes int) error {
	for s.union.room() < changes {
		if err := s.moveOn(ctx, changes); err != nil {
			return fmt.Errorf("make room for changes in members: %w", err)
		}
	}
	return nil
}

func (s *surface) moveOn(ctx context.Context, changes int) error {
	s.bumping.Lock()
	defer s.bumping.Unlock()
	if s.union.room() >= changes {
		return nil
	}
	if err := s.options.Bump(ctx); err != nil {
		return err
	}
	for s.union.room() < changes {
		_, advanced, err := s.union.ledger.State()
		if err != nil {
			return err
		}
		if err := s.follower.raw.RequestWatchProgress(progressContext(ctx)); err != nil {
			return err
		}
		timer := s.options.Clock.NewTimer(progressPeriod)
		select {
		case <-advanced:
		case <-timer.C():
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// followOwners shows other owners where they have become others, from the first time
// that members are needed.
func (s *surface) followOwners(ctx context.Context) {
	s.mu.Lock()
	awake := s.awake
	s.mu.Unlock()
	select {
	case <-awake:
	case <-ctx.Done():
		return
	}
	changed := workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[string](),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: "owners"})
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		defer changed.ShutDown()
		s.options.Owners.Follow(ctx, changed.Add)
	})
	for {
		owner, ended := changed.Get()
		if ended {
			return
		}
		if err := s.reown(ctx, owner); err == nil {
			changed.Forget(owner)
		} else if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Objects of members keep the owner they had, to be tried again", "owner", owner)
			changed.AddRateLimited(owner)
		}
		changed.Done(owner)
	}
}

// reown has all objects of an owner show it as it is now.
func (s *surface) reown(ctx context.Context, owner string) error {
	for more := true; more; {
		if err := s.reserve(ctx, chunk); err != nil {
			return err
		}
		more = s.union.reown(owner)
	}
	return nil
}

// followMembers starts and stops links.
func (s *surface) followMembers(ctx context.Context) {
	defer s.stopLinks()
	if err := s.options.Await(ctx); err != nil {
		return // the context ended
	}
	for {
		clusters, changed := s.options.Members.Clusters()
		idle := s.turn(ctx, clusters)
		idle = min(idle, s.arrange(ctx, clusters))
		timer := s.options.Clock.NewTimer(idle)
		select {
		case <-s.wake:
		case <-changed:
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// turn shows what members have as it is to be now that they are lost or found, and
// returns when to look again: soon if that failed.
func (s *surface) turn(ctx context.Context, clusters []Cluster) time.Duration {
	for _, cluster := range clusters {
		s.union.turn(cluster)
		for s.union.hasTurned(cluster.Name) {
			if err := s.reserve(ctx, chunk); err != nil {
				klog.FromContext(ctx).Error(err, "What is shown is as before", "cluster", cluster.Name, "unready", cluster.Unready, "resource", s.kind.Resource.Resource)
				return s.options.MaxBackoff
			}
			s.union.reshow(cluster.Name)
		}
	}
	return time.Hour
}

// arrange makes the links what they are to be and returns when to look again.
func (s *surface) arrange(ctx context.Context, clusters []Cluster) time.Duration {
	s.mu.Lock()
	idle := s.needed.Add(s.options.IdleAfter).Sub(s.options.Clock.Now())
	if s.watchers > 0 {
		idle = s.options.IdleAfter
	}
	if idle <= 0 {
		s.fallAsleep() // under the lock: who comes now has to wake it again
	}
	s.mu.Unlock()
	if idle <= 0 {
		s.stopLinks()
		if s.kind.Fleeting {
			return s.dropAll(ctx, time.Hour, s.union.members())
		}
		return time.Hour
	}
	wanted := make(map[string]Cluster, len(clusters))
	for _, cluster := range clusters {
		wanted[cluster.Name] = cluster
		s.start(ctx, cluster)
	}
	for _, gone := range s.takeLinks(func(name string) bool { _, ok := wanted[name]; return !ok }) {
		gone.stop()
	}
	left := slices.DeleteFunc(s.union.members(), func(member string) bool { _, ok := wanted[member]; return ok })
	idle = s.dropAll(ctx, idle, left)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.awake:
	default:
		close(s.awake)
	}
	return idle
}

// dropAll shows nothing of some members any more, and returns when to look again: soon
// if that failed.
func (s *surface) dropAll(ctx context.Context, idle time.Duration, members []string) time.Duration {
	for _, member := range members {
		for more := true; more; {
			if err := s.reserve(ctx, chunk); err != nil {
				klog.FromContext(ctx).Error(err, "What is not followed any more is still shown", "cluster", member, "resource", s.kind.Resource.Resource)
				return min(idle, s.options.MaxBackoff)
			}
			more = s.union.retain(member, nil, math.MaxUint64)
		}
	}
	return idle
}

// start begins to follow a member, unless that is done already.
func (s *surface) start(ctx context.Context, cluster Cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.links[cluster.Name]; known != nil {
		known.unready = cluster.Unready
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	made := &link{
		client: &client{members: s.options.Members, kind: s.kind, member: cluster.Name, fleetID: s.options.FleetID},
		union:  s.union, reserve: s.reserve, maxBackoff: s.options.MaxBackoff,
		synced: make(chan struct{}),
	}
	var running sync.WaitGroup
	running.Go(func() { made.run(ctx) })
	s.links[cluster.Name] = &runningLink{
		link: made, unready: cluster.Unready, patience: s.options.Clock.Now().Add(s.options.Patience),
		stop: func() { cancel(); running.Wait() },
	}
}

// takeLinks removes links and returns them.
func (s *surface) takeLinks(which func(name string) bool) []*runningLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken []*runningLink
	for name, link := range s.links {
		if which(name) {
			taken = append(taken, link)
			delete(s.links, name)
		}
	}
	return taken
}

// fallAsleep makes those who need members wait for links to be started.
func (s *surface) fallAsleep() {
	select {
	case <-s.awake:
		s.awake = make(chan struct{})
	default:
	}
}

// stopLinks stops following members.
func (s *surface) stopLinks() {
	for _, link := range s.takeLinks(func(string) bool { return true }) {
		link.stop()
	}
}

// hold keeps members followed until the context ends.
func (s *surface) hold(ctx context.Context) {
	s.mu.Lock()
	s.watchers++
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers--
		s.needed = s.options.Clock.Now()
	})
}

// need wakes the surface, waits a little for members that were not read yet, and
// returns what is to be said about those whose objects may be missing or old.
func (s *surface) need(ctx context.Context, selector labels.Selector) []string {
	s.mu.Lock()
	s.needed = s.options.Clock.Now()
	awake := s.awake
	s.mu.Unlock()
	select {
	case <-awake:
	default:
		select {
		case s.wake <- struct{}{}:
		default:
		}
		s.await(ctx, s.options.Clock.Now().Add(s.options.Patience), awake)
	}
	var warnings []string
	select {
	case <-awake:
	default:
		warnings = append(warnings, s.kind.Resource.Resource+" of members are missing or as last seen: they are not followed yet")
	}
	for _, link := range s.concerned(selector) {
		if errors.Is(link.trouble(), errNotRead) {
			s.await(ctx, link.patience, link.synced)
		}
		if warning := s.warning(link); warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if err := s.mergeAll(ctx); err != nil {
		warnings = append(warnings, fmt.Sprintf("%s of several members are not shown together yet: %v", s.kind.Resource.Resource, err))
	}
	return warnings
}

// unread says of which member it is not known what it has, empty for none.
func (s *surface) unread() string {
	s.mu.Lock()
	awake := s.awake
	s.mu.Unlock()
	select {
	case <-awake:
	default:
		return "they are not followed yet"
	}
	for _, link := range s.concerned(nil) {
		if err := link.trouble(); err != nil {
			return fmt.Sprintf("member %q: %v", link.client.member, err)
		}
	}
	return ""
}

// await waits for a channel to be closed, or for a time to come.
func (s *surface) await(ctx context.Context, until time.Time, done <-chan struct{}) {
	timer := s.options.Clock.NewTimer(until.Sub(s.options.Clock.Now()))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C():
	case <-ctx.Done():
	}
}

// warning is what to say about a member, empty when all is well.
func (s *surface) warning(link *runningLink) string {
	reason := link.unready
	if err := link.trouble(); err != nil {
		reason = err.Error()
	}
	resource, member := s.kind.Resource.Resource, link.client.member
	switch {
	case reason == "":
		return ""
	case s.union.has(member):
		return fmt.Sprintf("%s of member %q are shown as last seen: %s", resource, member, reason)
	default:
		return fmt.Sprintf("%s of member %q are not shown: %s", resource, member, reason)
	}
}

// concerned returns the links to members whose objects a selector may select.
func (s *surface) concerned(selector labels.Selector) []*runningLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*runningLink
	for name, link := range s.links {
		if mayBeIn(selector, name) {
			copied := *link
			found = append(found, &copied)
		}
	}
	return found
}

// mayBeIn says whether a selector may select objects of a member.
func mayBeIn(selector labels.Selector, member string) bool {
	if selector == nil {
		return true
	}
	requirements, selectable := selector.Requirements()
	for _, requirement := range requirements {
		if requirement.Key() == wellknown.LabelCluster && !requirement.Matches(labels.Set{wellknown.LabelCluster: member}) {
			return false
		}
	}
	return selectable
}
