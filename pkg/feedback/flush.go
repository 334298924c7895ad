// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// maxAttempts is how often a write is tried again after a conflict before the
// binding waits for its next turn.
const maxAttempts = 10

// limitStep is by how much less of members' statuses is kept when a binding turns
// out to be too large.
const limitStep = 32

// flush writes what was reported on a binding, answers, and makes the status of
// the template. It returns after which time there will be something else to say
// without a report, 0 when never, and an error when it has to be tried again.
func (i *Intake) flush(ctx context.Context, name types.NamespacedName) (time.Duration, error) {
	started := i.options.Clock.Now()
	batch := i.take(name)
	binding, err := i.record(ctx, name, batch)
	if err != nil {
		batch.fail(err)
	}
	var again time.Duration
	if binding != nil {
		again, err = i.rollUp(ctx, name, binding)
	}
	finished := i.options.Clock.Now()
	i.window.observe(finished.Sub(started))
	flushes.Inc()
	if len(batch.reports) > 0 {
		flushLatency.Observe(finished.Sub(batch.since).Seconds())
	}
	return again, err
}

// record merges reports into the binding, writes it if that changes anything, and
// answers them. It returns the binding as it is stored, nil when there is none.
func (i *Intake) record(ctx context.Context, name types.NamespacedName, batch *batch) (workv1alpha1.Binding, error) {
	reports := batch.ordered()
	live, limit := false, maxStatuses
	for range maxAttempts {
		stored, err := i.readBinding(ctx, name, live)
		switch {
		case apierrors.IsNotFound(err) && live:
			i.forget(name, reports)
			return nil, nil
		case apierrors.IsNotFound(err):
			live = true
			continue
		case err != nil:
			return nil, fmt.Errorf("read binding %s: %w", name, err)
		}
		binding, _ := stored.DeepCopyObject().(workv1alpha1.Binding)
		result := merge(binding, reports, i.options.Failures(name), limit, metav1.NewTime(i.options.Clock.Now().Truncate(time.Second)))
		if !live && i.doubtful(result) {
			live = true
			continue
		}
		if result.changed {
			if binding, err = i.writeBinding(ctx, name, binding); retryable(err) {
				live = true
				continue
			}
			if isTooLarge(err) && limit > 0 {
				// The rest of it takes more room than most.
				limit /= limitStep
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("write status of binding %s: %w", name, err)
			}
			i.announce(stored, binding)
			stored = binding
		}
		i.answer(stored, reports, result.verdicts)
		return stored, nil
	}
	return nil, fmt.Errorf("write status of binding %s: %w", name, errBusy)
}

// forget answers reports about a binding that is gone.
func (i *Intake) forget(name types.NamespacedName, reports []*report) {
	for _, r := range reports {
		r.answer(workv1alpha1.FeedbackNotFound, "the binding is gone")
	}
	i.interpreted.forget(name)
}

// answer answers the reports that were merged into what is stored.
func (i *Intake) answer(stored workv1alpha1.Binding, reports []*report, verdicts []verdict) {
	for n, r := range reports {
		if verdicts[n] == accepted {
			i.tell(stored.GetSpec().Resource, r)
		}
		r.answer(verdicts[n].reason, verdicts[n].message)
	}
}

// tell records an Event for a tombstone that came true in another way than asked
// for: its report goes with it.
func (i *Intake) tell(template workv1alpha1.ObjectReference, r *report) {
	if i.options.Events == nil || !r.item.Deleted || r.item.AppliedReason != workv1alpha1.AppliedReasonNotEmpty {
		return
	}
	template.UID = r.item.TemplateUID
	i.warn(template, r.item.AppliedReason, fmt.Sprintf("member %q: %s", r.member, r.item.AppliedMessage))
}

// maxNote is the longest message the API takes in an Event, in bytes.
const maxNote = 1024

// errBusy says that others wrote an object each time this server wanted to.
var errBusy = errors.New("too many conflicts")

// retryable says that a write met another state than the one it was made from.
func retryable(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}

// doubtful says that a cached binding is not enough to go by: it would refuse a
// report, or make it look like nothing new while another server may have written
// since. A cached binding that leads to a write is put right by the conflict.
func (i *Intake) doubtful(result outcome) bool {
	return result.refused() || i.options.Peers && len(result.verdicts) > 0 && !result.changed
}

// readBinding returns the binding as this process wrote it last, or newer.
func (i *Intake) readBinding(ctx context.Context, name types.NamespacedName, live bool) (workv1alpha1.Binding, error) {
	binding, err := i.options.Bindings.Get(ctx, name, live)
	if err == nil && !live && behind(binding.GetResourceVersion(), i.written.last(name).binding) {
		return i.options.Bindings.Get(ctx, name, true)
	}
	return binding, err
}

func (i *Intake) writeBinding(ctx context.Context, name types.NamespacedName, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	stored, err := i.options.Bindings.UpdateFeedback(ctx, binding)
	if err != nil {
		countConflict(targetBinding, err)
		return nil, err
	}
	writes.WithLabelValues(targetBinding).Inc()
	i.written.remember(i.options.Clock.Now(), name, func(v *versions) { v.binding = stored.GetResourceVersion() })
	klog.FromContext(ctx).V(4).Info("Wrote feedback to binding", "resourceVersion", stored.GetResourceVersion())
	return stored, nil
}

// readTemplate returns the template as this process wrote it last, or newer.
func (i *Intake) readTemplate(ctx context.Context, name types.NamespacedName, reference workv1alpha1.ObjectReference, live bool) (*unstructured.Unstructured, error) {
	template, err := i.options.Templates.Get(ctx, reference, live)
	if err == nil && !live && behind(template.GetResourceVersion(), i.written.last(name).template) {
		return i.options.Templates.Get(ctx, reference, true)
	}
	return template, err
}

// ordered returns the reports by member and uid, so that equal batches are merged
// alike.
func (b *batch) ordered() []*report {
	reports := make([]*report, 0, len(b.reports))
	for _, r := range b.reports {
		reports = append(reports, r)
	}
	slices.SortFunc(reports, func(a, b *report) int {
		return cmp.Or(cmp.Compare(a.member, b.member), cmp.Compare(a.item.TemplateUID, b.item.TemplateUID))
	})
	return reports
}
