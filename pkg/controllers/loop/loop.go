// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Config is what a loop is made from. Expects and Clock may be nil, all else is
// required.
type Config struct {
	// Name is that of the queue in metrics.
	Name string
	// Key is what names are logged as.
	Key string
	// Workers is how many names are reconciled at a time.
	Workers int
	// Reconcile brings what has the name in order and returns after which time to
	// look again without an event; 0 means never.
	Reconcile func(ctx context.Context, name string) (time.Duration, error)
	// Expects says of an error, beside those of a race, that it is not worth a word in
	// the log.
	Expects func(err error) bool
	// Clock is the real one by default.
	Clock clock.WithTicker
}

// Loop reconciles what its queue names.
type Loop struct {
	// Queue holds the names of what is to be reconciled.
	Queue workqueue.TypedRateLimitingInterface[string]

	config Config
	synced []cache.InformerSynced
}

// New returns a loop that watches nothing yet.
func New(config Config) *Loop {
	return &Loop{
		Queue: workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[string](),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: config.Name, Clock: config.Clock}),
		config: config,
	}
}

// Watch has the handler fill the queue. Workers start when it has seen all that is
// there.
func (l *Loop) Watch(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) error {
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		return fmt.Errorf("watch for the %s controller: %w", l.config.Name, err)
	}
	l.synced = append(l.synced, registration.HasSynced)
	return nil
}

// Each is the handler that has every object seen, as it is now or was last.
func Each(see func(object any)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: see, UpdateFunc: func(_, updated any) { see(updated) }, DeleteFunc: see,
	}
}

// Run reconciles until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	defer utilruntime.HandleCrashWithContext(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer l.Queue.ShutDown()
	if !cache.WaitForNamedCacheSyncWithContext(ctx, l.synced...) {
		return
	}
	for range l.config.Workers {
		running.Go(func() { wait.UntilWithContext(ctx, l.work, time.Second) })
	}
	<-ctx.Done()
}

func (l *Loop) work(ctx context.Context) {
	for {
		name, shutdown := l.Queue.Get()
		if shutdown {
			return
		}
		l.process(ctx, name)
	}
}

func (l *Loop) process(ctx context.Context, name string) {
	defer l.Queue.Done(name)
	ctx = klog.NewContext(ctx, klog.LoggerWithValues(klog.FromContext(ctx), l.config.Key, name))
	again, err := l.config.Reconcile(ctx, name)
	if err != nil {
		if !raced(err) && (l.config.Expects == nil || !l.config.Expects(err)) {
			utilruntime.HandleErrorWithContext(ctx, err, "Failed to reconcile, to be tried again", "controller", l.config.Name)
		}
		l.Queue.AddRateLimited(name)
		return
	}
	l.Queue.Forget(name)
	if again > 0 {
		l.Queue.AddAfter(name, again)
	}
}

// raced reports whether somebody wrote in between. That is no error, but its event
// may have come before this.
func raced(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err)
}
