// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const (
	// maxStatuses is how many bytes of members' statuses a binding takes. etcd takes
	// 1.5 MiB for the whole.
	maxStatuses = 1 << 20
	// maxWords is how many bytes a binding takes of what members say about their
	// works: messages, and fields that drifted.
	maxWords = 256 << 10
	// minWords is how much of that each member may say, however many they are.
	minWords = 64

	reasonTooLarge         = "TooLarge"
	reasonTemplateTooLarge = "TemplateTooLarge"
	reasonNotInterpreted   = "NotInterpreted"
)

// fit makes what members reported fit into a binding: of statuses, the largest are
// left out until the rest has no more bytes than the limit, and is marked so; words
// are cut when all together are too many.
func fit(binding workv1alpha1.Binding, limit int, now metav1.Time) {
	items := binding.GetStatus().AggregatedStatus
	cutWords(items)
	total := 0
	for i := range items {
		total += sizeOf(&items[i])
	}
	bySize := make([]*workv1alpha1.AggregatedStatusItem, len(items))
	for i := range items {
		bySize[i] = &items[i]
	}
	slices.SortStableFunc(bySize, func(a, b *workv1alpha1.AggregatedStatusItem) int { return cmp.Compare(sizeOf(b), sizeOf(a)) })
	for _, item := range bySize {
		if total <= limit {
			break
		}
		total -= sizeOf(item)
		item.Status, item.StatusOmitted = nil, true
	}
	setStatusComplete(binding, now)
}

func sizeOf(item *workv1alpha1.AggregatedStatusItem) int {
	if item.Status == nil {
		return 0
	}
	return len(item.Status.Raw)
}

// cutWords gives each member the same share of what may be said, once all say too
// much.
func cutWords(items []workv1alpha1.AggregatedStatusItem) {
	total := 0
	for i := range items {
		total += wordsOf(&items[i])
	}
	if total <= maxWords {
		return
	}
	share := max(minWords, maxWords/len(items))
	for i := range items {
		item := &items[i]
		if wordsOf(item) <= share {
			continue
		}
		item.Drift = nil
		item.AppliedMessage = cut(item.AppliedMessage, share)
	}
}

func wordsOf(item *workv1alpha1.AggregatedStatusItem) int {
	words := len(item.AppliedMessage)
	for _, field := range item.Drift {
		words += len(field.Op) + len(field.Path) + len(field.Value) + len(field.Observed)
	}
	return words
}

// cut returns text, or as much of it as fits into so many bytes.
func cut(text string, most int) string {
	const more = " ..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}

// omitted returns the members whose status is left out.
func omitted(status *workv1alpha1.BindingStatus) []string {
	var members []string
	for i := range status.AggregatedStatus {
		if status.AggregatedStatus[i].StatusOmitted {
			members = append(members, status.AggregatedStatus[i].ClusterName)
		}
	}
	return members
}

// setStatusComplete says in a condition whose status is left out.
func setStatusComplete(binding workv1alpha1.Binding, now metav1.Time) {
	status := binding.GetStatus()
	members := omitted(status)
	known := meta.FindStatusCondition(status.Conditions, workv1alpha1.ConditionStatusComplete)
	switch {
	case len(members) > 0:
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: workv1alpha1.ConditionStatusComplete, Status: metav1.ConditionFalse, Reason: reasonTooLarge,
			Message:            fmt.Sprintf("the status of %s is too large and was left out; that of the template stays as it was", named(members)),
			ObservedGeneration: binding.GetGeneration(), LastTransitionTime: now,
		})
	case known != nil && known.Reason == reasonTooLarge:
		meta.RemoveStatusCondition(&status.Conditions, workv1alpha1.ConditionStatusComplete)
	}
}

// templateProblem says why the status of the template does not follow from those of its
// members; the zero value that it does.
type templateProblem struct{ reason, message string }

// templateStays ends messages about it.
const templateStays = "the status of the template stays as it was"

var templateTooLarge = templateProblem{
	reason:  reasonTemplateTooLarge,
	message: "with the status of its members, the template would be larger than the store takes; see aggregatedStatus",
}

// noteTemplate says in the binding why the status of the template does not follow, or
// takes that back. It writes only when that is news.
func (i *Intake) noteTemplate(ctx context.Context, name types.NamespacedName, binding workv1alpha1.Binding, problem templateProblem) error {
	known := meta.FindStatusCondition(binding.GetStatus().Conditions, workv1alpha1.ConditionStatusComplete)
	var said templateProblem
	if known != nil && known.Reason != reasonTooLarge {
		said = templateProblem{reason: known.Reason, message: known.Message}
	}
	problem.message = cut(problem.message, maxCondition)
	if said == problem {
		return nil
	}
	noted, _ := binding.DeepCopyObject().(workv1alpha1.Binding)
	conditions := &noted.GetStatus().Conditions
	if problem == (templateProblem{}) {
		meta.RemoveStatusCondition(conditions, workv1alpha1.ConditionStatusComplete)
	} else {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: workv1alpha1.ConditionStatusComplete, Status: metav1.ConditionFalse, Reason: problem.reason, Message: problem.message,
			ObservedGeneration: binding.GetGeneration(), LastTransitionTime: metav1.NewTime(i.options.Clock.Now()),
		})
	}
	if _, err := i.writeBinding(ctx, name, noted); err != nil {
		return fmt.Errorf("write status of binding %s: %w", name, err)
	}
	return nil
}

// maxCondition is the longest message of a condition, in bytes.
const maxCondition = 32768

// isTooLarge returns true for a write that the store does not take for its size. The
// API server has no reason of its own for that: it passes on the words of etcd, or
// of its client.
func isTooLarge(err error) bool {
	return err != nil && (apierrors.IsRequestEntityTooLargeError(err) ||
		strings.Contains(err.Error(), "request is too large") || strings.Contains(err.Error(), "larger than max"))
}
