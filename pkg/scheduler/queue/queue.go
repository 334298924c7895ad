// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"iter"
	"math/bits"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Config of a Queue.
type Config struct {
	// Name of the queue in metrics.
	Name string
	// InitialBackoff after a first failure; it doubles with each further one.
	InitialBackoff time.Duration
	// MaxBackoff is where it stops doubling.
	MaxBackoff time.Duration
	// Priority of a template; the higher goes first.
	Priority func(key template.Key) int32
	// Clock for delays.
	Clock clock.WithTicker
}

// Interest says which changes of members matter to some templates. Templates
// that share an Interest share the value, which has to be comparable.
type Interest interface {
	// Concerned reports whether what happened to the member may change a decision
	// about them. event is one of those of the change.
	Concerned(event framework.Event, change framework.Change) bool
}

// Queue holds the templates to decide about.
type Queue struct {
	active workqueue.TypedRateLimitingInterface[template.Key]

	mu      sync.Mutex
	waiting map[template.Key]wait
	byEvent [eventBits]map[Interest]map[template.Key]struct{}
	// deciding are the templates between Get and Park, with what was in missed
	// when they were taken.
	deciding map[template.Key]int
	missed   []framework.Change
}

const eventBits = 32

// wait is what a template waits for.
type wait struct {
	events   framework.Event
	interest Interest // nil is in everything
}

// wants reports whether a change ends the wait.
func (w wait) wants(key template.Key, change framework.Change) bool {
	for event := range bitsOf(w.events & change.Events) {
		if concerned(w.interest, event, change) && reaches(key, event, change) {
			return true
		}
	}
	return false
}

// concerned asks an interest about a member. What happened to no member in
// particular concerns everybody.
func concerned(interest Interest, event framework.Event, change framework.Change) bool {
	return interest == nil || change.Before == nil && change.After == nil || interest.Concerned(event, change)
}

// reaches reports whether an event is about the kind of a template, for those that
// are about kinds.
func reaches(key template.Key, event framework.Event, change framework.Change) bool {
	return event != framework.MemberAPIs || change.After == nil || change.Gained(key.GroupKind())
}

// bitsOf yields the events of a set one by one.
func bitsOf(events framework.Event) iter.Seq[framework.Event] {
	return func(yield func(framework.Event) bool) {
		for left := events; left != 0; left &= left - 1 {
			if !yield(left & -left) {
				return
			}
		}
	}
}

func indexOf(event framework.Event) int { return bits.TrailingZeros32(uint32(event)) }

// New returns an empty queue.
func New(config Config) *Queue {
	active := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[template.Key]{
		Name:  config.Name,
		Clock: config.Clock,
		Queue: newPriorities(config.Priority),
	})
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[template.Key]{
		Name:  config.Name,
		Clock: config.Clock,
		Queue: active,
	})
	return &Queue{
		active: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[template.Key](config.InitialBackoff, config.MaxBackoff),
			workqueue.TypedRateLimitingQueueConfig[template.Key]{Name: config.Name, Clock: config.Clock, DelayingQueue: delaying},
		),
		waiting:  map[template.Key]wait{},
		deciding: map[template.Key]int{},
	}
}

// Add asks for a decision about a template.
func (q *Queue) Add(key template.Key) { q.active.Add(key) }

// AddAfter asks for a decision about a template after a while.
func (q *Queue) AddAfter(key template.Key, wait time.Duration) { q.active.AddAfter(key, wait) }

// AddAfterFailure asks for another decision after the backoff of the template.
func (q *Queue) AddAfterFailure(key template.Key) { q.active.AddRateLimited(key) }

// Get returns the next template to decide about, and waits for one. It reports
// whether the queue was shut down.
func (q *Queue) Get() (key template.Key, shutdown bool) {
	key, shutdown = q.active.Get()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unparkLocked(key)
	if !shutdown {
		q.deciding[key] = len(q.missed)
	}
	return key, shutdown
}

// Done says that the decision about a template is finished, written or not.
func (q *Queue) Done(key template.Key) { q.active.Done(key) }

// Forget resets the backoff of a template after a success.
func (q *Queue) Forget(key template.Key) { q.active.Forget(key) }

// Len is the number of templates that can be decided about now.
func (q *Queue) Len() int { return q.active.Len() }

// ShutDown ends all Gets.
func (q *Queue) ShutDown() { q.active.ShutDown() }

// Park lets a template wait until one of the events happens to a member that is
// of interest; nil is any member. A decision was made about it meanwhile: what
// happened since Get and would have ended the wait has it decided about again.
func (q *Queue) Park(key template.Key, events framework.Event, interest Interest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unparkLocked(key)
	waits := wait{events: events, interest: interest}
	if q.decidedLocked(key, waits) {
		q.active.AddRateLimited(key)
	}
	if events == 0 {
		return
	}
	q.waiting[key] = waits
	for event := range bitsOf(events) {
		byInterest := q.byEvent[indexOf(event)]
		if byInterest == nil {
			byInterest = map[Interest]map[template.Key]struct{}{}
			q.byEvent[indexOf(event)] = byInterest
		}
		if byInterest[interest] == nil {
			byInterest[interest] = map[template.Key]struct{}{}
		}
		byInterest[interest][key] = struct{}{}
	}
}

// decidedLocked ends the decision about a template and reports whether it missed
// something.
func (q *Queue) decidedLocked(key template.Key, waits wait) bool {
	since, ok := q.deciding[key]
	if !ok {
		return false
	}
	delete(q.deciding, key)
	missed := q.missed[since:]
	if len(q.deciding) == 0 {
		q.missed = nil
	}
	return slices.ContainsFunc(missed, func(change framework.Change) bool { return waits.wants(key, change) })
}

func (q *Queue) unparkLocked(key template.Key) {
	waits := q.waiting[key]
	for event := range bitsOf(waits.events) {
		byInterest := q.byEvent[indexOf(event)]
		delete(byInterest[waits.interest], key)
		if len(byInterest[waits.interest]) == 0 {
			delete(byInterest, waits.interest)
		}
	}
	delete(q.waiting, key)
}

// Waiting is the number of templates that wait for an event.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// Wake asks for decisions about the templates that wait for one of the events,
// each after its backoff, so that a flood of events does not become a flood of
// decisions. It returns how many there are.
func (q *Queue) Wake(events framework.Event) int {
	return q.WakeFor(framework.Change{Events: events})
}

// WakeFor is Wake for what happened to one member: of the templates that wait for
// it, those it concerns. Its cost is that of the interests and of the templates
// concerned; the others are not looked at.
func (q *Queue) WakeFor(change framework.Change) int {
	woken := q.concerned(change)
	for key := range woken {
		q.active.AddRateLimited(key)
	}
	return len(woken)
}

func (q *Queue) concerned(change framework.Change) map[template.Key]struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.deciding) > 0 && change.Events != 0 {
		q.missed = append(q.missed, change)
	}
	keys := map[template.Key]struct{}{}
	for event := range bitsOf(change.Events) {
		for interest, waiting := range q.byEvent[indexOf(event)] {
			if concerned(interest, event, change) {
				collect(keys, waiting, event, change)
			}
		}
	}
	return keys
}

func collect(into, from map[template.Key]struct{}, event framework.Event, change framework.Change) {
	for key := range from {
		if reaches(key, event, change) {
			into[key] = struct{}{}
		}
	}
}
