// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// maxNamed is how many members a message names.
const maxNamed = 5

// setFullyApplied derives the condition from the decision, the reports on it and
// what could not be rendered.
func setFullyApplied(binding workv1alpha1.Binding, failures map[string]error, now metav1.Time) {
	var silent []string
	refusing := sets.New[string]()
	spec, status := binding.GetSpec(), binding.GetStatus()
	for _, cluster := range targets(spec) {
		item := reportOf(status, cluster.Name, spec.Resource.UID)
		switch {
		case item == nil || buried(spec, cluster.Name) || outdated(item, binding) || item.AppliedReason == workv1alpha1.AppliedReasonSuspended:
			silent = append(silent, cluster.Name)
		case !item.Applied:
			refusing.Insert(cluster.Name)
		}
	}
	condition := metav1.Condition{
		Type: workv1alpha1.ConditionFullyApplied, Status: metav1.ConditionFalse,
		ObservedGeneration: binding.GetGeneration(), LastTransitionTime: now,
	}
	switch unrendered := explained(spec, failures); {
	case unrendered != "":
		condition.Reason = workv1alpha1.ReasonFullyAppliedFailed
		condition.Message = unrendered
	case len(refusing) > 0:
		condition.Reason = workv1alpha1.ReasonFullyAppliedFailed
		condition.Message = "not applied in " + retell(gather(status.AggregatedStatus, func(item *workv1alpha1.AggregatedStatusItem) bool {
			return refusing.Has(item.ClusterName)
		}))
	case len(silent) > 0:
		condition.Reason = workv1alpha1.ReasonFullyAppliedPending
		condition.Message = "waiting for " + named(silent)
	case len(spec.Tombstones) > 0:
		condition.Reason = workv1alpha1.ReasonFullyAppliedPending
		condition.Message = "waiting for deletion in " + named(buriedIn(spec))
	default:
		condition.Status = metav1.ConditionTrue
		condition.Reason = workv1alpha1.ReasonFullyAppliedSuccess
		condition.Message = "applied in all members decided upon"
		if less := gather(status.AggregatedStatus, func(item *workv1alpha1.AggregatedStatusItem) bool { return imperfect.Has(item.AppliedReason) }); len(less) > 0 {
			condition.Message += "; in " + retell(less)
		}
	}
	meta.SetStatusCondition(&status.Conditions, condition)
}

// Reasons of the condition Drifted.
const (
	reasonFoughtOver = "FoughtOver"
	reasonSuspended  = "Suspended"
)

// setDrifted says in a condition which members have objects that are not as the
// fleet wants them and are not put right. There is none without such a member.
func setDrifted(binding workv1alpha1.Binding, now metav1.Time) {
	status := binding.GetStatus()
	var messages []string
	reason := reasonSuspended
	for i := range status.AggregatedStatus {
		item := &status.AggregatedStatus[i]
		if len(item.Drift) == 0 {
			continue
		}
		if item.AppliedReason != workv1alpha1.AppliedReasonSuspended {
			reason = reasonFoughtOver
		}
		messages = append(messages, item.ClusterName+": "+describeDrift(item.Drift))
	}
	if len(messages) == 0 {
		meta.RemoveStatusCondition(&status.Conditions, workv1alpha1.ConditionDrifted)
		return
	}
	text := strings.Join(messages[:min(len(messages), maxNamed)], "; ")
	if more := len(messages) - maxNamed; more > 0 {
		text += fmt.Sprintf("; and %d more members", more)
	}
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: workv1alpha1.ConditionDrifted, Status: metav1.ConditionTrue, Reason: reason, Message: text,
		ObservedGeneration: binding.GetGeneration(), LastTransitionTime: now,
	})
}

// describeDrift names the first field and how many more there are.
func describeDrift(fields []workv1alpha1.FieldDrift) string {
	first := fields[0]
	text := first.Path
	switch first.Op {
	case "replace":
		text += " is " + first.Observed + " and not " + first.Value
	case "add":
		text += " is missing"
	case "remove":
		text += " is too much"
	}
	if more := len(fields) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// outdated says that a report is about an earlier decision. One that does not say
// which is taken for the latest.
func outdated(item *workv1alpha1.AggregatedStatusItem, binding workv1alpha1.Binding) bool {
	return item.BindingGeneration != 0 && item.BindingGeneration < binding.GetGeneration()
}

func buriedIn(spec *workv1alpha1.BindingSpec) []string {
	var members []string
	for _, tombstone := range spec.Tombstones {
		members = append(members, tombstone.ClusterName)
	}
	slices.Sort(members)
	return slices.Compact(members)
}

// named lists members, the first few by name.
func named(members []string) string {
	if len(members) <= maxNamed {
		return strings.Join(members, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(members[:maxNamed], ", "), len(members)-maxNamed)
}
