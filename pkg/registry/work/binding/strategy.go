// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/apis/work/validation"
	"fleet.dev/fleet/pkg/registry/resource"
)

func newStrategy(typer runtime.ObjectTyper, namespaced bool, clock clock.PassiveClock) resource.Strategy[work.Binding] {
	return resource.Strategy[work.Binding]{
		ObjectTyper:   typer,
		NameGenerator: names.SimpleNameGenerator,
		Namespaced:    namespaced,
		GroupVersion:  workv1alpha1.SchemeGroupVersion,
		Spec:          decisionOf,
		ResetStatus: func(b, old work.Binding) {
			*b.GetStatus() = work.BindingStatus{}
			if old != nil {
				*b.GetStatus() = *old.GetStatus()
			}
		},
		Prepare: func(b, old work.Binding) {
			if old == nil {
				// Nothing was ever in a member on behalf of this binding.
				b.GetSpec().Tombstones = nil
				stampEvictions(b.GetSpec().GracefulEvictionTasks, nil, clock.Now())
				recordDecision(b, 1)
				return
			}
			keepOrphaned(b, old)
			b.GetSpec().Tombstones = nextTombstones(change{
				updated: b.GetSpec(), old: old.GetSpec(), orphaned: isOrphaned(old), generation: old.GetGeneration() + 1,
			})
			stampEvictions(b.GetSpec().GracefulEvictionTasks, old.GetSpec().GracefulEvictionTasks, clock.Now())
			if !slices.Equal(b.GetSpec().Clusters, old.GetSpec().Clusters) {
				recordDecision(b, old.GetGeneration()+1)
			}
		},
		Check:       validation.ValidateBinding,
		CheckUpdate: validation.ValidateBindingUpdate,
	}
}

// recordDecision says in the status that members were chosen, in the write that
// chose them, so that success costs the scheduler no second write. What the
// scheduler has to say beside it, it writes itself.
func recordDecision(b work.Binding, generation int64) {
	if len(b.GetSpec().Clusters) == 0 {
		return
	}
	status := b.GetStatus()
	status.Conditions = slices.Clone(status.Conditions) // may be those of the stored object
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: work.ConditionScheduled, Status: metav1.ConditionTrue, Reason: work.ReasonSuccess,
		Message: "members have been chosen", ObservedGeneration: generation,
	})
	status.SchedulerObservedGeneration = generation
	status.Reasons = nil
}

func newStatusStrategy(strategy resource.Strategy[work.Binding]) resource.StatusStrategy[work.Binding] {
	return resource.StatusStrategy[work.Binding]{
		Strategy:    strategy,
		KeepSpec:    func(b, old work.Binding) { *b.GetSpec() = *old.GetSpec() },
		CheckStatus: validation.ValidateBindingStatusUpdate,
	}
}

// newFeedbackStrategy is for the intake of feedback: the status, and tombstones
// that a member confirmed, in one write.
func newFeedbackStrategy(strategy resource.Strategy[work.Binding]) resource.StatusStrategy[work.Binding] {
	status := newStatusStrategy(strategy)
	status.KeepSpec = func(b, old work.Binding) {
		confirmed := confirmTombstones(b.GetSpec(), old.GetSpec())
		*b.GetSpec() = *old.GetSpec()
		b.GetSpec().Tombstones = confirmed
	}
	return status
}

// newTombstoneStrategy is for the subresource tombstones: it takes tombstones away
// that no member will confirm, with what the member said last, and changes
// nothing else.
func newTombstoneStrategy(strategy resource.Strategy[work.Binding]) resource.StatusStrategy[work.Binding] {
	tombstones := newFeedbackStrategy(strategy)
	confirm := tombstones.KeepSpec
	tombstones.KeepSpec = func(b, old work.Binding) {
		confirm(b, old)
		*b.GetStatus() = *old.GetStatus()
		b.GetStatus().AggregatedStatus = reportsOf(b.GetSpec(), old.GetStatus().AggregatedStatus)
	}
	return tombstones
}

// decisionOf is what makes a generation: the spec without its tombstones. Works
// carry the generation, so counting a confirmation of one member would send every
// other member its work again.
func decisionOf(b work.Binding) any {
	decision := *b.GetSpec()
	decision.Tombstones = nil
	return decision
}
