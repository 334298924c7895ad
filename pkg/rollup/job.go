// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

type (
	jobInput  = input[batchv1.Job, batchv1.JobStatus]
	jobMember = reported[batchv1.JobStatus]
)

// job sums counters and follows the order that upstream's validation of a Job's
// status demands (pkg/apis/batch/validation, pkg/registry/batch/job): a success
// is announced by SuccessCriteriaMet and a failure by FailureTarget, the end is
// declared when nothing runs any more, and what ended stays as it ended.
func job(in jobInput) batchv1.JobStatus {
	old := in.template.Status
	if jobIs(old, batchv1.JobComplete) || jobIs(old, batchv1.JobFailed) {
		return old
	}
	status := jobCounters(in)
	status.StartTime = jobStartTime(in)
	status.Conditions = jobSuspended(in, status.Conditions)
	switch {
	case jobIs(old, batchv1.JobFailureTarget) || !jobIs(old, batchv1.JobSuccessCriteriaMet) && anyJob(in.members, jobFails):
		jobFailure(in, &status)
	case jobIs(old, batchv1.JobSuccessCriteriaMet) || all(in.members, jobSucceeds):
		jobSuccess(in, &status)
	}
	return status
}

func jobCounters(in jobInput) batchv1.JobStatus {
	old, spec := in.template.Status, in.template.Spec
	n := copiesOf(ptr.Deref(spec.Parallelism, 1), in.members)
	status := batchv1.JobStatus{
		Active:    n.up(sum(in.members, func(s batchv1.JobStatus) int32 { return s.Active })),
		Succeeded: n.down(sum(in.members, func(s batchv1.JobStatus) int32 { return s.Succeeded })),
		Failed:    clamp(sum(in.members, func(s batchv1.JobStatus) int32 { return s.Failed })),
		Terminating: n.upOptional(sumOptional(in.members, func(s batchv1.JobStatus) *int32 {
			return s.Terminating
		})),
		CompletedIndexes: old.CompletedIndexes,
		FailedIndexes:    old.FailedIndexes,
		// Pods not counted yet are counted by their members.
		UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{},
	}
	if n > 1 {
		// Each copy has its own backoffLimit, and the worst one decides.
		status.Failed = worstFailed(in.members)
	}
	if ready := sumOptional(in.members, func(s batchv1.JobStatus) *int32 { return s.Ready }); ready != nil {
		status.Ready = new(min(n.down(*ready), status.Active))
	}
	indexed := ptr.Deref(spec.CompletionMode, batchv1.NonIndexedCompletion) == batchv1.IndexedCompletion
	// Only an elastic indexed Job, whose completions follow its parallelism, may
	// go back.
	if !indexed || !ptr.Equal(spec.Completions, spec.Parallelism) {
		status.Succeeded = max(status.Succeeded, old.Succeeded)
	}
	status.Failed = max(status.Failed, old.Failed)
	// Indexes of several members would overlap.
	if indexed && len(in.members) == 1 && in.members[0].present {
		status.CompletedIndexes = in.members[0].status.CompletedIndexes
		if spec.BackoffLimitPerIndex != nil {
			status.FailedIndexes = in.members[0].status.FailedIndexes
		}
	}
	return status
}

func worstFailed(members []jobMember) int32 {
	var worst int32
	for _, member := range members {
		worst = max(worst, member.status.Failed)
	}
	return worst
}

// jobStartTime returns when the first member started. Once set it stays, unless
// the Job is suspended.
func jobStartTime(in jobInput) *metav1.Time {
	if old := in.template.Status.StartTime; old != nil && !ptr.Deref(in.template.Spec.Suspend, false) {
		return old
	}
	var first *metav1.Time
	for _, member := range in.members {
		if started := member.status.StartTime; started != nil && (first == nil || started.Before(first)) {
			first = started
		}
	}
	return first
}

// jobSuspended says that every member is suspended; once it was, it says when the
// Job was resumed.
func jobSuspended(in jobInput, conditions []batchv1.JobCondition) []batchv1.JobCondition {
	suspended := all(in.members, func(m jobMember) bool { return jobIs(m.status, batchv1.JobSuspended) })
	switch {
	case suspended:
		return append(conditions, jobConditionOf(in, batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended"))
	case jobCondition(in.template.Status, batchv1.JobSuspended) != nil:
		return append(conditions, jobConditionOf(in, batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed"))
	default:
		return conditions
	}
}

// jobFailure announces a failure, and declares it once no member runs any more.
func jobFailure(in jobInput, status *batchv1.JobStatus) {
	reason, message := jobFailureReason(in)
	status.Conditions = append(status.Conditions, jobConditionOf(in, batchv1.JobFailureTarget, corev1.ConditionTrue, reason, message))
	if status.StartTime == nil || !jobIdle(in.members) {
		return
	}
	status.Conditions = append(status.Conditions, jobConditionOf(in, batchv1.JobFailed, corev1.ConditionTrue, reason, message))
}

// jobFailureReason returns what was announced before, or else what the first
// failing member says.
func jobFailureReason(in jobInput) (reason, message string) {
	if announced := jobCondition(in.template.Status, batchv1.JobFailureTarget); announced != nil && announced.Status == corev1.ConditionTrue {
		return announced.Reason, announced.Message
	}
	for _, member := range in.members {
		for _, conditionType := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobFailureTarget} {
			if c := jobCondition(member.status, conditionType); c != nil && c.Status == corev1.ConditionTrue {
				return c.Reason, fmt.Sprintf("member %q: %s", member.Cluster, c.Message)
			}
		}
	}
	return "", ""
}

// jobSuccess announces a success, and declares it once every member is complete.
func jobSuccess(in jobInput, status *batchv1.JobStatus) {
	reason, message := batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods"
	if in.template.Spec.SuccessPolicy != nil {
		reason, message = batchv1.JobReasonSuccessPolicy, "Matched rules at success policy"
	}
	status.Conditions = append(status.Conditions, jobConditionOf(in, batchv1.JobSuccessCriteriaMet, corev1.ConditionTrue, reason, message))
	complete := all(in.members, func(m jobMember) bool { return jobIs(m.status, batchv1.JobComplete) })
	if !complete || status.StartTime == nil || !jobIdle(in.members) {
		return
	}
	status.Conditions = append(status.Conditions, jobConditionOf(in, batchv1.JobComplete, corev1.ConditionTrue, reason, message))
	status.CompletionTime = jobCompletionTime(in, status.StartTime)
}

// jobCompletionTime returns when the last member completed.
func jobCompletionTime(in jobInput, started *metav1.Time) *metav1.Time {
	last := started
	for _, member := range in.members {
		if completed := member.status.CompletionTime; completed != nil && last.Before(completed) {
			last = completed
		}
	}
	return last
}

// jobIdle says that no member has a Pod that runs or terminates.
func jobIdle(members []jobMember) bool {
	return all(members, func(m jobMember) bool {
		finished := jobIs(m.status, batchv1.JobComplete) || jobIs(m.status, batchv1.JobFailed)
		return finished && m.status.Active <= 0 && ptr.Deref(m.status.Terminating, 0) <= 0
	})
}

func jobFails(m jobMember) bool {
	return jobIs(m.status, batchv1.JobFailed) || jobIs(m.status, batchv1.JobFailureTarget)
}

func jobSucceeds(m jobMember) bool {
	return jobIs(m.status, batchv1.JobComplete) || jobIs(m.status, batchv1.JobSuccessCriteriaMet)
}

func anyJob(members []jobMember, holds func(jobMember) bool) bool {
	return slices.ContainsFunc(members, holds)
}

func jobCondition(status batchv1.JobStatus, conditionType batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == conditionType {
			return &status.Conditions[i]
		}
	}
	return nil
}

func jobIs(status batchv1.JobStatus, conditionType batchv1.JobConditionType) bool {
	condition := jobCondition(status, conditionType)
	return condition != nil && condition.Status == corev1.ConditionTrue
}

// jobConditionOf returns a condition that keeps the times of the one it replaces
// while it is the same.
func jobConditionOf(in jobInput, conditionType batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string) batchv1.JobCondition {
	if before := jobCondition(in.template.Status, conditionType); before != nil && before.Status == status {
		return *before
	}
	return batchv1.JobCondition{
		Type: conditionType, Status: status, Reason: reason, Message: message,
		LastProbeTime: in.now, LastTransitionTime: in.now,
	}
}
