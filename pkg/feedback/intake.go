// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/pace"
)

// Works knows the works of members.
type Works interface {
	// BindingOf returns the binding that a work of a member is rendered from; ok
	// is false when the member has no such work. It must not be behind what
	// members see.
	BindingOf(member, work string) (binding types.NamespacedName, ok bool)
}

// Bindings reads bindings and writes what feedback changes in them. The name of a
// ClusterResourceBinding has no namespace.
type Bindings interface {
	// Get returns a binding that is not to be modified. It may come from a cache
	// unless live is true.
	Get(ctx context.Context, name types.NamespacedName, live bool) (workv1alpha1.Binding, error)
	// UpdateFeedback writes the status of a binding and removes tombstones, at the
	// resource version of the object given. It returns what is stored.
	UpdateFeedback(ctx context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error)
}

// Templates reads templates and writes their status.
type Templates interface {
	// Get returns a template that is not to be modified. It may come from a cache
	// unless live is true. A kind that nobody serves is not found.
	Get(ctx context.Context, template workv1alpha1.ObjectReference, live bool) (*unstructured.Unstructured, error)
	// UpdateStatus writes the status of a template at the resource version of the
	// object given, and returns what is stored. A kind without a status
	// subresource is not found.
	UpdateStatus(ctx context.Context, template *unstructured.Unstructured) (*unstructured.Unstructured, error)
}

// Options are the parts an Intake is made of.
type Options struct {
	// Works, Bindings and Templates are required.
	Works     Works
	Bindings  Bindings
	Templates Templates
	// Failures returns why works of a binding cannot be rendered, by member; the
	// empty name stands for all. Resync is to be called when they change. Nil means
	// that all can.
	Failures func(binding types.NamespacedName) map[string]error
	// Interpreter returns what makes the status of custom resources now. When it changes
	// Reinterpret is to be called. Nil leaves them to the rule for all kinds.
	Interpreter func() *interpreter.Interpreter
	// Unreachable says whether nobody hears from a member at present. When that changes
	// Resync is to be called for its bindings. Nil means that all are heard from.
	Unreachable func(member string) bool
	// Window is how long reports on a binding gather while there is little to do.
	// Default 100 ms.
	Window time.Duration
	// MaxWindow is how long they gather at most. Default 1 s.
	MaxWindow time.Duration
	// Workers is how many bindings are written at a time. Default 8.
	Workers int
	// Peers says that other servers take reports over the same etcd, so that a
	// cache may be behind a write of another server. It costs a read of the
	// binding where otherwise a cache would do.
	Peers bool
	// Events tells users what no status has room for. Optional.
	Events EventRecorder
	// Clock is the real one by default.
	Clock clock.WithTicker
}

// EventRecorder records an Event about an object; it is the part of client-go's
// record.EventRecorder that an Intake needs.
type EventRecorder interface {
	Event(object apiruntime.Object, eventType, reason, message string)
}

const (
	defaultWindow    = 100 * time.Millisecond
	defaultMaxWindow = time.Second
	defaultWorkers   = 8
	// flushTimeout bounds the reads and writes for one binding.
	flushTimeout = 15 * time.Second
	// resyncStretch is by how much longer than MaxWindow a resync waits at most, when
	// resyncCrowd or more are asked for per second: members' reports take longer then,
	// too, and one of them most likely says more.
	resyncStretch = 4
	resyncCrowd   = 8
	// resyncInterval is the time between two bindings that are resynced, so that
	// those of a whole fleet, at start, leave room for reports.
	resyncInterval = time.Millisecond
)

// ErrStopped is why reports are refused after Run returned.
var ErrStopped = errors.New("feedback intake has stopped")

// Intake takes reports. Create it with New, then Run it; Accept and Resync may be
// called at any time, from any goroutine.
type Intake struct {
	options Options
	queue   workqueue.TypedRateLimitingInterface[types.NamespacedName]
	window  *window
	written written

	interpreted interpreted

	mu      sync.Mutex
	batches map[types.NamespacedName]*batch // those to be written
	resyncs pacer
	pace    *pace.Pace
	stopped bool
}

// New returns an Intake that does not write anything until it runs.
func New(options Options) (*Intake, error) {
	if options.Works == nil || options.Bindings == nil || options.Templates == nil {
		return nil, errors.New("make feedback intake: works, bindings and templates are required")
	}
	if options.Failures == nil {
		options.Failures = func(types.NamespacedName) map[string]error { return nil }
	}
	if options.Interpreter == nil {
		options.Interpreter = func() *interpreter.Interpreter { return nil }
	}
	if options.Unreachable == nil {
		options.Unreachable = func(string) bool { return false }
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Window <= 0 {
		options.Window = defaultWindow
	}
	if options.MaxWindow <= 0 {
		options.MaxWindow = max(defaultMaxWindow, options.Window)
	}
	if options.MaxWindow < options.Window {
		return nil, fmt.Errorf("make feedback intake: the longest window, %v, is shorter than the window, %v", options.MaxWindow, options.Window)
	}
	if options.Workers <= 0 {
		options.Workers = defaultWorkers
	}
	registerMetrics()
	return &Intake{
		options: options,
		// More workers than processors do not write faster.
		window: &window{shortest: options.Window, longest: options.MaxWindow, workers: min(options.Workers, runtime.GOMAXPROCS(0))},
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](options.Window, time.Minute),
			workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: "feedback", Clock: options.Clock},
		),
		batches: map[types.NamespacedName]*batch{},
		resyncs: pacer{interval: resyncInterval},
		pace:    pace.New(options.MaxWindow, resyncStretch*options.MaxWindow, resyncCrowd),
	}, nil
}

// Run writes what was reported until ctx ends. Reports that are not written then
// are refused. It is called once.
func (i *Intake) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("feedback"))
	var workers sync.WaitGroup
	for range i.options.Workers {
		workers.Go(func() {
			for i.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	i.queue.ShutDown()
	workers.Wait()
	i.stop()
	return nil
}

// stop refuses what is waiting and whatever comes.
func (i *Intake) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopped = true
	for name, b := range i.batches {
		b.fail(ErrStopped)
		delete(i.batches, name)
	}
}

// Accept takes the reports of one member and returns a result for each, in their
// order, once all accepted ones are stored. Reasons are those of FeedbackResult.
// An error says that nothing is known about any of them: ctx ended, the intake
// stopped (ServiceUnavailable), or an item makes no sense (BadRequest).
func (i *Intake) Accept(ctx context.Context, member string, items []workv1alpha1.FeedbackItem) ([]workv1alpha1.FeedbackResult, error) {
	items, err := canonical(items)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	itemsReceived.Add(float64(len(items)))
	names, err := i.bindingsOf(ctx, member, items)
	if err != nil {
		return nil, fmt.Errorf("find bindings of the works of member %q: %w", member, err)
	}
	waiting, err := i.enqueue(member, items, names)
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	select {
	case <-waiting.done:
		return waiting.results, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait until feedback of member %q is stored: %w", member, context.Cause(ctx))
	}
}

// bindingsOf returns the binding of each item, the empty name where there is no
// such work. This server may be behind the one that told the member of a work,
// so it looks twice before it says so.
func (i *Intake) bindingsOf(ctx context.Context, member string, items []workv1alpha1.FeedbackItem) ([]types.NamespacedName, error) {
	names := make([]types.NamespacedName, len(items))
	look := func() (complete bool) {
		complete = true
		for n := range items {
			if names[n].Name != "" {
				continue
			}
			name, ok := i.options.Works.BindingOf(member, items[n].Name)
			names[n] = name
			complete = complete && ok
		}
		return complete
	}
	if look() {
		return names, nil
	}
	timer := i.options.Clock.NewTimer(i.options.MaxWindow)
	defer timer.Stop()
	select {
	case <-timer.C():
		look()
		return names, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// enqueue puts items into the batches of their bindings.
func (i *Intake) enqueue(member string, items []workv1alpha1.FeedbackItem, names []types.NamespacedName) (*call, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stopped {
		return nil, ErrStopped
	}
	waiting := newCall(items)
	for n := range items {
		name := names[n]
		if name.Name == "" {
			waiting.answer(n, workv1alpha1.FeedbackNotFound, "the member has no such work")
			continue
		}
		b := i.batches[name]
		if b == nil {
			b = &batch{since: i.options.Clock.Now(), reports: map[slot]*report{}}
			i.batches[name] = b
			i.queue.AddAfter(name, i.window.length(len(i.batches)))
		}
		b.add(member, items[n], waiter{call: waiting, index: n})
	}
	waiting.release()
	batchesPending.Set(float64(len(i.batches)))
	return waiting, nil
}

// Resync makes what follows from a binding anew without a report: after its spec
// or the spec of its template changed, and for every binding at start. It waits
// for MaxWindow, longer under load, so that the reports that such a change mostly causes
// are written along. It returns at once.
func (i *Intake) Resync(binding types.NamespacedName) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.options.Clock.Now()
	i.queue.AddAfter(binding, i.pace.Delay(now)+i.resyncs.delay(now))
}

// next works on one binding; it returns false when there will be none any more.
func (i *Intake) next(ctx context.Context) bool {
	name, shutdown := i.queue.Get()
	if shutdown {
		return false
	}
	defer i.queue.Done(name)
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	logger := klog.FromContext(ctx).WithValues("binding", name)
	again, err := i.flush(klog.NewContext(ctx, logger), name)
	switch {
	case err != nil:
		logger.V(2).Info("Status is to be made again", "err", err)
		i.queue.AddRateLimited(name)
	case again > 0:
		i.queue.Forget(name)
		i.queue.AddAfter(name, again)
	default:
		i.queue.Forget(name)
	}
	return true
}

// take removes the batch of a binding; it is empty when nothing was reported.
func (i *Intake) take(name types.NamespacedName) *batch {
	i.mu.Lock()
	defer i.mu.Unlock()
	b := i.batches[name]
	if b == nil {
		return &batch{}
	}
	delete(i.batches, name)
	batchesPending.Set(float64(len(i.batches)))
	return b
}
