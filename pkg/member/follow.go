// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Follow implements Connection. It is a reflector that rests while the member is
// lost.
func (m *Member) Follow(ctx context.Context, what string, lw cache.ListerWatcher, store cache.ReflectorStore) {
	logger := klog.FromContext(ctx)
	// Shorter than the reflector's own, which leaves a member that is back
	// unwatched for up to a minute.
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Cap: 8 * time.Second, Steps: 5, Factor: 2, Jitter: 0.5}
	reflector := cache.NewReflectorWithOptions(lw, nil, store, cache.ReflectorOptions{
		Logger: &logger, Name: m.name + "/" + what, TypeDescription: what, Clock: m.clock, Backoff: &backoff,
	})
	delay := backoff.DelayWithReset(m.clock, time.Minute)
	for m.awaitUsable(ctx) {
		err := reflector.ListAndWatchWithContext(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			logger.V(2).Info("Reading from member failed", "cluster", m.name, "what", what, "err", err)
		}
		timer := m.clock.NewTimer(delay())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
	}
}
