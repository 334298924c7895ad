// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/cache"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/metrics"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// writeTimeout bounds the writing of one decision, the last ones at shutdown
// included.
const writeTimeout = 30 * time.Second

// errStale says that a decision was made on something that is not so any more.
var errStale = errors.New("decided on a state that has passed")

// commit writes a decision in the background, one that others go ahead of after
// those. It waits while too many are being written.
func (s *Scheduler) commit(ctx context.Context, d *decision, after *hold) {
	if after == nil {
		s.commits <- struct{}{}
	}
	s.inFlight.Go(func() {
		if after != nil {
			s.awaitAhead(ctx, after)
			s.commits <- struct{}{}
		}
		defer func() { <-s.commits }()
		// What was decided is written, also when the scheduler is asked to stop.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		start := s.clock.Now()
		err := s.write(ctx, d)
		metrics.WriteDuration.Observe(s.clock.Since(start).Seconds())
		s.finish(ctx, d, err)
	})
}

// write does what a decision asks for.
func (s *Scheduler) write(ctx context.Context, d *decision) error {
	// 1. Make sure that what is believed to be gone is.
	if err := s.confirm(ctx, d); err != nil {
		return err
	}

	// 2. The binding.
	written, err := s.writeBinding(ctx, d)
	if err != nil {
		return err
	}
	d.written = d.spec != nil
	s.tellLoss(d)

	// 3. The reason, when the template cannot be placed, or could not before.
	if d.scheduled != nil {
		return s.writeStatus(ctx, d, written)
	}
	return nil
}

// confirm asks the fleet itself about templates and Clusters that memory does not
// hold.
func (s *Scheduler) confirm(ctx context.Context, d *decision) error {
	if d.confirmGone {
		switch live, err := s.templates.Live(ctx, d.key); {
		case err == nil && (live.UID != d.foreground || !template.InForeground(live)):
			return errStale
		case err == nil:
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("confirm that %s is gone: %w", d.key, err)
		}
	}
	for _, name := range d.confirmMissing {
		switch _, err := s.members.Get(ctx, name, metav1.GetOptions{}); {
		case err == nil:
			return errStale
		case !apierrors.IsNotFound(err) || apierrors.IsUnexpectedServerError(err):
			return fmt.Errorf("confirm that cluster %q is gone: %w", name, err)
		}
	}
	return nil
}

// writeBinding creates, patches or deletes the binding, and returns what the
// fleet has then.
func (s *Scheduler) writeBinding(ctx context.Context, d *decision) (workv1alpha1.Binding, error) {
	switch {
	case d.remove:
		err := s.bindings.Delete(ctx, d.binding)
		if apierrors.IsConflict(err) {
			err = s.refresh(ctx, d, d.binding.GetName(), err)
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, counted(metrics.Delete, fmt.Errorf("delete binding of %s: %w", d.key, err))
		}
		s.cache.RemoveBinding(d.binding)
		return nil, counted(metrics.Delete, nil)
	case d.spec == nil:
		return d.binding, nil
	case d.binding == nil:
		made := newBinding(d.key, *d.spec)
		written, err := s.bindings.Create(ctx, made)
		if apierrors.IsAlreadyExists(err) {
			err = s.refresh(ctx, d, made.GetName(), err)
		}
		return s.confirmed(d, metrics.Create, written, err)
	default:
		patch, err := patchFor(d.binding, d.spec)
		if err != nil {
			return nil, err
		}
		written, err := s.bindings.Patch(ctx, d.binding, patch)
		if apierrors.IsInvalid(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			err = s.refresh(ctx, d, d.binding.GetName(), err)
		}
		return s.confirmed(d, metrics.Update, written, err)
	}
}

func (s *Scheduler) confirmed(d *decision, operation string, written workv1alpha1.Binding, err error) (workv1alpha1.Binding, error) {
	if err != nil {
		return nil, counted(operation, fmt.Errorf("%s binding of %s: %w", operation, d.key, err))
	}
	if _, err := cache.Trim(written); err != nil {
		return nil, err
	}
	s.apply(d.key, s.cache.Confirm(written))
	return written, counted(operation, nil)
}

func counted(operation string, err error) error {
	result := "success"
	switch {
	case errors.Is(err, errStale):
		result = "stale"
	case err != nil:
		result = "error"
	}
	metrics.Writes.WithLabelValues(operation, result).Inc()
	return err
}

// refresh reads the binding after a refused write. It returns errStale when the
// binding is not the one decided upon, else the refusal.
func (s *Scheduler) refresh(ctx context.Context, d *decision, name string, refusal error) error {
	live, err := s.bindings.Get(ctx, d.key.Namespace, name)
	switch {
	case apierrors.IsNotFound(err) && d.binding == nil:
		return refusal
	case apierrors.IsNotFound(err):
		s.cache.RemoveBinding(d.binding)
		return errStale
	case err != nil:
		return err
	}
	if holder := template.KeyOf(live.GetSpec().Resource); holder != d.key {
		return fmt.Errorf("binding %q is that of %s", name, holder)
	}
	if d.binding != nil && d.binding.GetUID() == live.GetUID() && d.binding.GetGeneration() == live.GetGeneration() {
		return refusal
	}
	if _, err := cache.Trim(live); err != nil {
		return err
	}
	s.apply(d.key, s.cache.SetBinding(live))
	return errStale
}

// writeStatus writes the condition of a decision and tells the template by an
// event.
func (s *Scheduler) writeStatus(ctx context.Context, d *decision, known workv1alpha1.Binding) error {
	name := known.GetName()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		live, err := s.bindings.Get(ctx, d.key.Namespace, name)
		if err != nil {
			return err
		}
		status := live.GetStatus()
		condition := *d.scheduled
		condition.ObservedGeneration = live.GetGeneration()
		meta.SetStatusCondition(&status.Conditions, condition)
		status.Reasons = d.reasons
		if d.anew && d.scheduled.Status == metav1.ConditionTrue {
			// Not before what asked for it, whoever's clock that was.
			status.LastScheduledTime = latest(metav1.NewTime(s.clock.Now().Truncate(time.Second)), *d.binding.GetSpec().RescheduleTriggeredAt)
		}
		status.SchedulerObservedGeneration = live.GetGeneration()
		written, err := s.bindings.UpdateStatus(ctx, live)
		if err != nil {
			return err
		}
		if _, err := cache.Trim(written); err != nil {
			return err
		}
		s.apply(d.key, s.cache.SetBinding(written))
		return nil
	})
	if err != nil {
		return counted(metrics.Status, fmt.Errorf("write status of binding %q: %w", name, err))
	}
	if d.scheduled.Status == metav1.ConditionFalse {
		s.recorder.Eventf(reference(d.template), nil, corev1.EventTypeWarning, "FailedScheduling", "Scheduling", "%s", shorten(d.scheduled.Message))
	}
	return counted(metrics.Status, nil)
}

func latest(a, b metav1.Time) *metav1.Time {
	if a.Before(&b) {
		return &b
	}
	return &a
}

// reference names a template in an event.
func reference(t *template.Template) *corev1.ObjectReference {
	apiVersion, kind := t.Kind.ToAPIVersionAndKind()
	return &corev1.ObjectReference{APIVersion: apiVersion, Kind: kind, Namespace: t.Namespace, Name: t.Name, UID: t.UID}
}

// maxNote is the longest note the API takes in an event, in bytes.
const maxNote = 1024

func shorten(message string) string {
	const more = " ..."
	if len(message) <= maxNote {
		return message
	}
	return message[:maxNote-len(more)] + more
}

// finish ends a cycle, written or not.
func (s *Scheduler) finish(ctx context.Context, d *decision, err error) {
	defer s.queue.Done(d.key)
	defer s.ahead.end(d.key)
	logger := klog.FromContext(ctx)
	if err == nil {
		s.finished(logger, d)
		return
	}
	switch {
	case d.written:
		s.tellNeeded(d)
		s.relieved(d)
	case d.spec != nil:
		s.apply(d.key, s.cache.Forget(d.key))
		if d.spec.PropagateDeps {
			s.add(s.needs.Along(d.key))
		}
		if d.profile != nil {
			d.profile.Unreserve(ctx, &framework.Request{Template: d.template}, d.spec.Clusters)
		}
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		logger.V(4).Info("Not placed, its namespace is being deleted")
	case errors.Is(err, source.ErrNotServed):
		// It is decided again when its kind is listed.
		logger.V(4).Info("Not released, its kind is not served")
	case errors.Is(err, errStale):
		logger.V(4).Info("Deciding again", "reason", err.Error())
		s.queue.AddAfterFailure(d.key)
	default:
		logger.Error(err, "Could not write a decision, will try again")
		s.queue.AddAfterFailure(d.key)
	}
}

// tellNeeded has what a workload needs decided about again when the workload may
// be elsewhere, or is nowhere any more.
func (s *Scheduler) tellNeeded(d *decision) {
	left := d.left()
	switch {
	case d.template == nil && s.templates.Get(d.key) == nil && (left == nil || left.Holders().Len() == 0):
		s.add(s.needs.Forget(d.key))
		s.add(s.unsure.take(d.key.GroupKind()))
	case d.spec != nil && (d.spec.PropagateDeps || d.binding != nil && d.binding.GetSpec().PropagateDeps):
		s.add(s.needs.Along(d.key))
	}
}

func (s *Scheduler) finished(logger klog.Logger, d *decision) {
	s.tellNeeded(d)
	s.relieved(d)
	if d.result == metrics.Placed || d.result == metrics.Unchanged {
		s.changes.settle(d.key)
	}
	switch d.result {
	case metrics.Unschedulable, metrics.Failed:
		// The backoff stays: what wakes the template next may not help either.
		s.failing.Store(d.key, nil)
		if d.retry {
			s.queue.AddAfterFailure(d.key)
		}
		logger.V(2).Info("Cannot be placed", "reason", d.why)
		return
	case metrics.Placed, metrics.Released:
		logger.V(2).Info("Decided", "result", d.result, "clusters", clusterNames(d))
	default:
		logger.V(4).Info("Decided", "result", d.result, "reason", d.why)
	}
	s.failing.Delete(d.key)
	s.queue.Forget(d.key)
}

func clusterNames(d *decision) []string {
	if d.spec == nil {
		return nil
	}
	names := make([]string, 0, len(d.spec.Clusters))
	for _, cluster := range d.spec.Clusters {
		names = append(names, cluster.Name)
	}
	return names
}
