// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	workclient "fleet.dev/fleet/pkg/generated/clientset/versioned/typed/work/v1alpha1"
)

const (
	// batchWindow is how long reports gather before they are sent.
	batchWindow = 20 * time.Millisecond
	// progressWindow is how long a report waits of an object that is on its way. Each
	// report that is sent costs two writes in the fleet, and most objects arrive
	// while it waits; that they did is sent at once. It doubles when progressCrowd
	// reports wait, and each time that twice as many do, up to maxProgressWindow:
	// when many objects are on their way, each takes longer.
	progressWindow    = 500 * time.Millisecond
	maxProgressWindow = 4 * time.Second
	progressCrowd     = 25
	// batchSize is the most reports in one request.
	batchSize = 500
	// batchBytes is the size, in bytes, from which on a request takes no more
	// reports; API servers take up to 3 MiB.
	batchBytes = 1 << 20
	// feedbackTimeout bounds one request.
	feedbackTimeout = 30 * time.Second
	// maxMessage is the longest message the fleet takes, in bytes.
	maxMessage = 32768
)

// report is one report and what it is about.
type report struct {
	work types.UID
	item workv1alpha1.FeedbackItem
	hash uint64
	size int // in bytes
	// due is when it is to be sent; the reporter sets it.
	due time.Time
}

// patience is how long the report may wait for a better one, while so many others
// wait.
func (r report) patience(waiting int) time.Duration {
	unsettled := r.item.Health == workv1alpha1.ResourceUnhealthy || r.item.Health == workv1alpha1.ResourceUnknown
	if !r.item.Applied || r.item.Deleted || !unsettled {
		return 0
	}
	window := progressWindow
	for crowd := progressCrowd; crowd <= waiting && window < maxProgressWindow; crowd *= 2 {
		window *= 2
	}
	return window
}

func newReport(work types.UID, item workv1alpha1.FeedbackItem) (report, error) {
	raw, err := json.Marshal(item)
	if err != nil {
		return report{}, fmt.Errorf("encode report on work %s: %w", item.Name, err)
	}
	var hash maphash.Hash
	hash.SetSeed(seed)
	_, _ = hash.WriteString(string(work))
	_, _ = hash.Write(raw)
	return report{work: work, item: item, hash: hash.Sum64(), size: len(raw)}, nil
}

// reporter sends reports to the fleet: in batches, one request at a time, the
// latest report of each work only, and none the fleet has already.
type reporter struct {
	feedbacks workclient.WorkFeedbackInterface
	clock     clock.WithTicker
	// dropped is told of works whose report the fleet did not want.
	dropped func(work string)
	wake    chan struct{}

	mu sync.Mutex
	// pending are to be sent.
	pending map[string]report
	// sent are the hashes of what the fleet has or is about to get.
	sent map[string]uint64
}

func newReporter(feedbacks workclient.WorkFeedbackInterface, clock clock.WithTicker, dropped func(work string)) *reporter {
	return &reporter{
		feedbacks: feedbacks, clock: clock, dropped: dropped, wake: make(chan struct{}, 1),
		pending: map[string]report{}, sent: map[string]uint64{},
	}
}

// add has the report sent, unless the fleet has it.
func (r *reporter) add(report report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := report.item.Name
	if hash, ok := r.sent[name]; ok && hash == report.hash {
		delete(r.pending, name)
		return
	}
	report.due = r.clock.Now()
	if patience := report.patience(len(r.pending)); patience > 0 {
		// The syncers of all members report at the same moments, so that the fleet
		// writes once and not once per member.
		report.due = report.due.Add(patience).Round(patience)
	}
	if waiting, ok := r.pending[name]; ok && waiting.due.Before(report.due) {
		report.due = waiting.due
	}
	r.pending[name] = report
	r.ring()
}

// forget drops what is known about a work that is gone.
func (r *reporter) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, name)
	delete(r.sent, name)
}

func (r *reporter) ring() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (r *reporter) run(ctx context.Context) {
	attempt := 0
	for r.awaitDue(ctx) {
		pause := batchWindow
		if attempt > 0 {
			pause = soon.backoff(attempt)
		}
		timer := r.clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
		if r.flush(ctx) {
			attempt = 0
		} else {
			attempt++
		}
	}
}

// awaitDue waits until a report is due. It returns false when ctx ended.
func (r *reporter) awaitDue(ctx context.Context) bool {
	for {
		wait, some := r.nextDue()
		if some && wait <= 0 {
			return ctx.Err() == nil
		}
		if !r.awaitNews(ctx, wait, some) {
			return false
		}
	}
}

// awaitNews waits until there are new reports or, if limited, the wait is over. It
// returns false when ctx ended.
func (r *reporter) awaitNews(ctx context.Context, wait time.Duration, limited bool) bool {
	var over <-chan time.Time
	if limited {
		timer := r.clock.NewTimer(wait)
		defer timer.Stop()
		over = timer.C()
	}
	select {
	case <-ctx.Done():
		return false
	case <-r.wake:
	case <-over:
	}
	return true
}

// nextDue returns the time until the next report is due; some is false when none is
// pending.
func (r *reporter) nextDue() (wait time.Duration, some bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	for _, report := range r.pending {
		if until := report.due.Sub(now); !some || until < wait {
			wait, some = until, true
		}
	}
	return wait, some
}

// flush sends one batch. It returns false when that has to be tried again.
func (r *reporter) flush(ctx context.Context) bool {
	batch := r.take()
	if len(batch) == 0 {
		return true
	}
	err := r.send(ctx, batch)
	if refusedWhole(err) {
		// One bad report must not keep the others from the fleet.
		err = r.sendEach(ctx, batch)
	}
	if err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).V(2).Info("Feedback was not taken, trying again", "reports", len(batch), "err", err)
	}
	return err == nil
}

// refusedWhole returns true when the fleet does not take a batch as it is.
func refusedWhole(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// sendEach sends reports one by one and drops the ones the fleet does not take.
func (r *reporter) sendEach(ctx context.Context, batch []report) error {
	for i, report := range batch {
		err := r.send(ctx, batch[i:i+1])
		if refusedWhole(err) {
			klog.FromContext(ctx).Error(err, "Fleet refuses feedback on work", "work", report.item.Name)
			continue
		}
		if err != nil {
			r.restore(batch[i+1:])
			return err
		}
	}
	return nil
}

// send sends reports in one request. What has to be sent again goes back to
// what is pending, except when the fleet does not take the request as it is.
func (r *reporter) send(ctx context.Context, batch []report) error {
	feedback := &workv1alpha1.WorkFeedback{ObjectMeta: metav1.ObjectMeta{Name: "feedback"}}
	for _, report := range batch {
		feedback.Spec.Items = append(feedback.Spec.Items, report.item)
	}
	ctx, cancel := context.WithTimeout(ctx, feedbackTimeout)
	defer cancel()
	answer, err := r.feedbacks.Create(ctx, feedback, metav1.CreateOptions{})
	if err != nil {
		feedbackBatches.WithLabelValues("error").Inc()
		if !refusedWhole(err) {
			r.restore(batch)
		}
		return fmt.Errorf("send feedback: %w", err)
	}
	feedbackBatches.WithLabelValues("success").Inc()
	feedbackItems.Add(float64(len(batch)))
	return r.settle(ctx, batch, answer.Status.Results)
}

// take removes a batch from what is pending and due, to be sent. From then on the
// fleet may have it, and not what it had before.
func (r *reporter) take() []report {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	batch := make([]report, 0, min(len(r.pending), batchSize))
	bytes := 0
	for name, report := range r.pending {
		if len(batch) == batchSize || bytes > batchBytes {
			break
		}
		if report.due.After(now) {
			continue
		}
		bytes += report.size
		batch = append(batch, report)
		delete(r.pending, name)
		r.sent[name] = report.hash
	}
	return batch
}

// restore puts back what could not be sent, unless there is something newer.
func (r *reporter) restore(batch []report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, report := range batch {
		delete(r.sent, report.item.Name)
		if _, ok := r.pending[report.item.Name]; !ok {
			r.pending[report.item.Name] = report
		}
	}
	r.ring()
}

// unsend forgets what was sent of a work: the fleet did not want it.
func (r *reporter) unsend(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sent, name)
}

// settle takes note of the answers. It returns an error when the fleet could not
// take up some of the reports for now.
func (r *reporter) settle(ctx context.Context, batch []report, results []workv1alpha1.FeedbackResult) error {
	if len(results) != len(batch) {
		r.restore(batch)
		return fmt.Errorf("read answer to feedback: %d results for %d reports", len(results), len(batch))
	}
	var again []report
	for i, report := range batch {
		switch result := results[i]; {
		case result.Accepted:
		case result.Reason == workv1alpha1.FeedbackFailed:
			again = append(again, report)
		default:
			klog.FromContext(ctx).V(4).Info("Feedback was dropped", "work", report.item.Name, "reason", result.Reason, "message", result.Message)
			r.unsend(report.item.Name)
			r.dropped(report.item.Name)
		}
	}
	if len(again) == 0 {
		return nil
	}
	r.restore(again)
	return fmt.Errorf("send feedback: the fleet could not take up %d of %d reports", len(again), len(batch))
}

// report tells the fleet what became of a work.
func (s *session) report(work *workv1alpha1.Work, record *record, o outcome) error {
	item := workv1alpha1.FeedbackItem{
		Name:               work.Name,
		TemplateUID:        work.Spec.Template.UID,
		BindingGeneration:  work.Spec.Binding.Generation,
		ContentHash:        work.Spec.ContentHash,
		Applied:            o.applied,
		AppliedReason:      o.reason,
		AppliedMessage:     cutMessage(o.message),
		Deleted:            o.deleted,
		Health:             workv1alpha1.ResourceUnknown,
		TemplateGeneration: record.reflected(work, o),
		Drift:              o.drift,
		Unschedulable:      o.unschedulable,
	}
	if o.object != nil {
		item.Health = o.object.health
		if o.object.problem != "" && item.Applied && item.AppliedReason != workv1alpha1.AppliedReasonPruned {
			item.AppliedReason, item.AppliedMessage = workv1alpha1.AppliedReasonNotInterpreted, cutMessage(o.object.problem)
		}
		item.MemberGeneration = o.object.Generation
		if o.object.status != nil {
			item.Status = &runtime.RawExtension{Raw: o.object.status}
		}
	}
	report, err := newReport(work.UID, item)
	if err != nil {
		return err
	}
	s.reporter.add(report)
	return nil
}

// cutMessage returns as much of a message as the fleet takes.
func cutMessage(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "")
}
