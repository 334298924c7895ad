// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"math"
	"sync"
	"time"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// aheadAtMost bounds how long the decision about a workload waits to be written for
// those about what it needs.
const aheadAtMost = 2 * time.Second

// What a workload needs is to be in a member before it. So a decision by which a
// workload comes to further members is not written before those have been decided about, and
// written, that it needs there and that are not. They go first in the queue, and see
// what is intended for the workload.

// ahead knows the decisions that wait for others, and what is intended by decisions
// that are not written yet. It is safe for concurrent use.
type ahead struct {
	mu sync.Mutex
	// awaited are to be decided about, begun are being.
	awaited, begun map[template.Key][]*hold
	intents        map[template.Key]*workv1alpha1.BindingSpec
}

// hold is a decision that waits.
type hold struct {
	left  int           // others
	ready chan struct{} // closed when none is left
}

func newAhead() *ahead {
	return &ahead{
		awaited: map[template.Key][]*hold{}, begun: map[template.Key][]*hold{},
		intents: map[template.Key]*workv1alpha1.BindingSpec{},
	}
}

// await returns a hold until the templates have been decided about once more, nil
// when there are none.
func (a *ahead) await(keys []template.Key) *hold {
	if len(keys) == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h := &hold{left: len(keys), ready: make(chan struct{})}
	for _, key := range keys {
		a.awaited[key] = append(a.awaited[key], h)
	}
	return h
}

// has reports whether somebody waits for a decision about a template.
func (a *ahead) has(key template.Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.awaited[key]) > 0
}

// begin learns that a template is being decided about.
func (a *ahead) begin(key template.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if holds := a.awaited[key]; len(holds) > 0 {
		a.begun[key] = append(a.begun[key], holds...)
		delete(a.awaited, key)
	}
}

// end learns that this is finished, written or not.
func (a *ahead) end(key template.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.begun[key] {
		if h.left--; h.left == 0 {
			close(h.ready)
		}
	}
	delete(a.begun, key)
	delete(a.intents, key)
}

// intend learns what a decision is about to write.
func (a *ahead) intend(key template.Key, spec *workv1alpha1.BindingSpec) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.intents[key] = spec
}

// intent returns what is about to be written about a template, nil when nothing is.
func (a *ahead) intent(key template.Key) *workv1alpha1.BindingSpec {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.intents[key]
}

// goAhead has what a workload needs on further members decided about first. It
// returns nil when there is nothing to wait for.
func (s *Scheduler) goAhead(d *decision) *hold {
	if d.spec == nil || d.template == nil {
		return nil
	}
	if d.spec.PropagateDeps || d.binding != nil && d.binding.GetSpec().PropagateDeps {
		s.ahead.intend(d.key, d.spec)
	}
	var further []string
	for _, cluster := range d.spec.Clusters {
		if _, placed := d.placed[cluster.Name]; !placed {
			further = append(further, cluster.Name)
		}
	}
	if len(further) == 0 {
		return nil
	}
	var missing []template.Key
	for _, key := range s.needs.Needed(d.key) {
		if s.lacks(key, further) {
			missing = append(missing, key)
		}
	}
	h := s.ahead.await(missing)
	s.add(missing)
	return h
}

// lacks reports whether a template exists, may travel and is not on all of the members.
func (s *Scheduler) lacks(key template.Key, members []string) bool {
	if t := s.templates.Get(key); t == nil || t.Stays != "" {
		return false
	}
	on := s.cache.MembersOf(key)
	if binding := s.cache.Binding(key); binding != nil {
		on = on.Union(binding.GetSpec().Holders())
	}
	return !on.HasAll(members...)
}

// awaitAhead waits until what goes ahead is written, but not for ever.
func (s *Scheduler) awaitAhead(ctx context.Context, h *hold) {
	timer := s.clock.NewTimer(aheadAtMost)
	defer timer.Stop()
	select {
	case <-h.ready:
	case <-timer.C():
	case <-ctx.Done():
	}
}

// first is the priority of what others wait for.
const first = math.MaxInt32
