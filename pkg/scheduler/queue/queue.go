// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"math/bits"
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

// Queue holds the templates to decide about.
type Queue struct {
	active workqueue.TypedRateLimitingInterface[template.Key]

	mu      sync.Mutex
	waiting map[template.Key]framework.Event
	byEvent [bits.UintSize]map[template.Key]struct{}
}

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
		waiting: map[template.Key]framework.Event{},
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
	q.unpark(key)
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

// Park lets a template wait until one of the events happens.
func (q *Queue) Park(key template.Key, events framework.Event) {
	q.unpark(key)
	if events == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting[key] = events
	for left := uint(events); left != 0; left &= left - 1 {
		bit := bits.TrailingZeros(left)
		if q.byEvent[bit] == nil {
			q.byEvent[bit] = map[template.Key]struct{}{}
		}
		q.byEvent[bit][key] = struct{}{}
	}
}

func (q *Queue) unpark(key template.Key) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for left := uint(q.waiting[key]); left != 0; left &= left - 1 {
		delete(q.byEvent[bits.TrailingZeros(left)], key)
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
	woken := q.interested(events)
	for key := range woken {
		q.active.AddRateLimited(key)
	}
	return len(woken)
}

func (q *Queue) interested(events framework.Event) map[template.Key]struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	keys := map[template.Key]struct{}{}
	for left := uint(events); left != 0; left &= left - 1 {
		for key := range q.byEvent[bits.TrailingZeros(left)] {
			keys[key] = struct{}{}
		}
	}
	return keys
}
