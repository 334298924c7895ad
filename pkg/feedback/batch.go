// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// batch is what was reported on one binding since it was written last.
type batch struct {
	since   time.Time
	reports map[slot]*report
}

// slot is what of two reports the later one replaces: the state of one object in
// one member. That an object is gone does not replace what is said about the one
// that follows it.
type slot struct {
	member  string
	uid     types.UID
	deleted bool
}

// report is the last item of a slot, and all who wait for it.
type report struct {
	member  string
	item    workv1alpha1.FeedbackItem
	waiters []waiter
}

// waiter is one item of a call.
type waiter struct {
	call  *call
	index int
}

func (b *batch) add(member string, item workv1alpha1.FeedbackItem, w waiter) {
	key := slot{member: member, uid: item.TemplateUID, deleted: item.Deleted}
	r := b.reports[key]
	if r == nil {
		r = &report{member: member}
		b.reports[key] = r
	}
	r.item = item
	r.waiters = append(r.waiters, w)
}

// fail answers all reports that they could not be written.
func (b *batch) fail(err error) {
	for _, r := range b.reports {
		r.answer(workv1alpha1.FeedbackFailed, err.Error())
	}
}

func (r *report) answer(reason, message string) {
	for _, w := range r.waiters {
		w.call.answer(w.index, reason, message)
	}
	r.waiters = nil
}

// call is one Accept that waits for its items.
type call struct {
	results []workv1alpha1.FeedbackResult
	// open counts the items without an answer, and one until release.
	open atomic.Int64
	done chan struct{}
}

func newCall(items []workv1alpha1.FeedbackItem) *call {
	c := &call{results: make([]workv1alpha1.FeedbackResult, len(items)), done: make(chan struct{})}
	for n := range items {
		c.results[n].Name = items[n].Name
	}
	c.open.Store(int64(len(items)) + 1)
	return c
}

// answer sets one result. Each index is answered once, so different goroutines
// write different results.
func (c *call) answer(index int, reason, message string) {
	result := &c.results[index]
	result.Accepted, result.Reason, result.Message = reason == workv1alpha1.FeedbackAccepted, reason, message
	itemsAnswered.WithLabelValues(reason).Inc()
	c.release()
}

func (c *call) release() {
	if c.open.Add(-1) == 0 {
		close(c.done)
	}
}

// canonical returns the items with every status in one and the same encoding, so
// that equal ones have equal bytes.
func canonical(items []workv1alpha1.FeedbackItem) ([]workv1alpha1.FeedbackItem, error) {
	out := make([]workv1alpha1.FeedbackItem, len(items))
	for n, item := range items {
		if item.Status != nil {
			status, err := decodeStatus(item.Status)
			if err != nil {
				return nil, fmt.Errorf("read status of item %d, work %q: %w", n, item.Name, err)
			}
			raw, err := json.Marshal(status)
			if err != nil {
				return nil, fmt.Errorf("encode status of item %d, work %q: %w", n, item.Name, err)
			}
			item.Status = &runtime.RawExtension{Raw: raw}
			if status == nil {
				item.Status = nil
			}
		}
		out[n] = item
	}
	return out, nil
}

// decodeStatus returns the fields of a status; nil when there is none.
func decodeStatus(status *runtime.RawExtension) (map[string]any, error) {
	if status == nil || len(status.Raw) == 0 {
		return nil, nil
	}
	var fields map[string]any
	if err := utiljson.Unmarshal(status.Raw, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}
