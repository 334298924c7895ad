// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
)

const (
	// flapWindow is how long the loss of a member is held against it.
	flapWindow = 10 * time.Minute
	// holdPerLoss is how much longer each loss keeps the taint of a member that
	// came back.
	holdPerLoss = 5 * time.Second
	// maxHold is how long that is at most.
	maxHold = time.Minute
)

// history remembers of each member how its condition Ready went, since this
// process began to look. A member that is lost is tainted at once; one that came
// back after its first loss is trusted at once, one that comes and goes only when
// it has stayed for a while.
type history struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	seen map[string]*course
}

// course is how one member went.
type course struct {
	status metav1.ConditionStatus
	reason string
	// losses are the times at which it stopped being ready, as far as they count.
	losses []time.Time
	// back is when it became ready, zero while it is not or if this process did
	// not see it.
	back time.Time
}

func newHistory(c clock.PassiveClock) *history {
	return &history{clock: c, seen: map[string]*course{}}
}

// observe notes the condition Ready of a member, nil when it has none yet. It
// returns true when that is news: not what it was when last seen.
func (h *history) observe(cluster string, ready *metav1.Condition) (news bool) {
	now := course{}
	if ready != nil {
		now.status, now.reason = ready.Status, ready.Reason
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	last, ok := h.seen[cluster]
	if !ok {
		h.seen[cluster] = &now
		return false
	}
	if last.status == now.status && last.reason == now.reason {
		return false
	}
	switch {
	case last.status == metav1.ConditionTrue && now.status != metav1.ConditionTrue:
		last.losses, last.back = append(h.recent(last.losses), h.clock.Now()), time.Time{}
	case last.status != metav1.ConditionTrue && now.status == metav1.ConditionTrue:
		last.back = h.clock.Now()
	}
	last.status, last.reason = now.status, now.reason
	return true
}

// hold returns for how much longer a member that is ready again keeps the taint
// of its loss.
func (h *history) hold(cluster string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, ok := h.seen[cluster]
	if !ok || last.back.IsZero() {
		return 0
	}
	losses := len(h.recent(last.losses))
	if losses < 2 {
		return 0
	}
	return max(0, min(time.Duration(losses)*holdPerLoss, maxHold)-h.clock.Since(last.back))
}

// recent returns the losses that still count.
func (h *history) recent(losses []time.Time) []time.Time {
	return slices.DeleteFunc(losses, func(at time.Time) bool { return h.clock.Since(at) > flapWindow })
}

// forget drops a member that is gone.
func (h *history) forget(cluster string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seen, cluster)
}
