// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/generated/clientset/versioned"
)

const (
	// awayMost bounds the time between attempts to read from a fleet that is away,
	// less jitter: what changed meanwhile is to be in the members soon after it is
	// back. Reflectors by themselves wait up to a minute.
	awayMost = 2 * time.Second
	// refusedMost bounds the time between attempts to read from a fleet that
	// refuses to answer: somebody has to do something first.
	refusedMost = 10 * time.Second
)

// followFleet keeps store equal to what lw returns until ctx ends.
func followFleet(ctx context.Context, what string, lw cache.ListerWatcher, kind runtime.Object, store cache.ReflectorStore, clock clock.WithTicker) {
	logger := klog.FromContext(ctx)
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Cap: awayMost, Steps: 3, Factor: 2, Jitter: 0.5}
	cache.NewReflectorWithOptions(lw, kind, store, cache.ReflectorOptions{
		Logger: &logger, Name: what, Clock: clock, Backoff: &backoff,
	}).RunWithContext(ctx)
}

// patient reads from the fleet through lw, with longer and longer waits while it
// refuses.
func patient(lw *cache.ListWatch, fleet versioned.Interface, clock clock.WithTicker) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics((&refusals{clock: clock}).slow(lw), fleet)
}

// refusals makes attempts that are refused one after the other take longer and
// longer. It is used by one reflector, which makes one attempt at a time.
type refusals struct {
	clock clock.WithTicker
	delay time.Duration
}

// slow returns lw with slow refusals.
func (r *refusals) slow(lw *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := lw.ListWithContext(ctx, options)
			return list, r.pause(ctx, err)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			stream, err := lw.WatchWithContext(ctx, options)
			return stream, r.pause(ctx, err)
		},
	}
}

// pause waits when err is a refusal, and returns it.
func (r *refusals) pause(ctx context.Context, err error) error {
	if !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		r.delay = 0
		return err
	}
	timer := r.clock.NewTimer(r.delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
	r.delay = min(max(2*r.delay, time.Second), refusedMost)
	return err
}
