// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

var now = metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))

func said(member string, applied bool, reason string, generation int64) *report {
	return &report{member: member, item: workv1alpha1.FeedbackItem{
		Name: "w", TemplateUID: "u", Applied: applied, AppliedReason: reason, BindingGeneration: generation,
	}}
}

func TestFullyApplied(t *testing.T) {
	to := func(names ...string) []workv1alpha1.TargetCluster {
		var out []workv1alpha1.TargetCluster
		for _, name := range names {
			out = append(out, workv1alpha1.TargetCluster{Name: name})
		}
		return out
	}
	cases := map[string]struct {
		reason  string
		spec    workv1alpha1.BindingSpec
		reports []*report
		want    metav1.Condition
	}{
		"All": {
			reason:  "every member took the latest work",
			spec:    workv1alpha1.BindingSpec{Clusters: to("a", "b")},
			reports: []*report{said("a", true, "", 3), said("b", true, "", 3)},
			want:    metav1.Condition{Status: "True", Reason: "FullyAppliedSuccess", Message: "applied in all members decided upon"},
		},
		"NotAnswered": {
			reason:  "one has not answered, one is about an earlier decision",
			spec:    workv1alpha1.BindingSpec{Clusters: to("a", "b", "c")},
			reports: []*report{said("a", true, "", 3), said("c", true, "", 2)},
			want:    metav1.Condition{Status: "False", Reason: "FullyAppliedPending", Message: "waiting for b, c"},
		},
		"GenerationNotSaid": {
			reason:  "a report that names no decision is about this one",
			spec:    workv1alpha1.BindingSpec{Clusters: to("a")},
			reports: []*report{said("a", true, "", 0)},
			want:    metav1.Condition{Status: "True", Reason: "FullyAppliedSuccess", Message: "applied in all members decided upon"},
		},
		"Refused": {
			reason:  "a refusal is worse than silence",
			spec:    workv1alpha1.BindingSpec{Clusters: to("a", "b")},
			reports: []*report{said("a", false, workv1alpha1.AppliedReasonInvalid, 3)},
			want:    metav1.Condition{Status: "False", Reason: "FullyAppliedFailed", Message: "not applied in a: Invalid"},
		},
		"Pruned": {
			reason:  "what a member leaves out is applied, and said",
			spec:    workv1alpha1.BindingSpec{Clusters: to("a", "b")},
			reports: []*report{said("a", true, workv1alpha1.AppliedReasonPruned, 3), said("b", true, workv1alpha1.AppliedReasonSuccess, 3)},
			want:    metav1.Condition{Status: "True", Reason: "FullyAppliedSuccess", Message: "applied in all members decided upon; in a: Pruned"},
		},
		"Suspended": {
			reason:  "held back on purpose is no refusal",
			spec:    workv1alpha1.BindingSpec{Clusters: to("a")},
			reports: []*report{said("a", false, workv1alpha1.AppliedReasonSuspended, 3)},
			want:    metav1.Condition{Status: "False", Reason: "FullyAppliedPending", Message: "waiting for a"},
		},
		"Tombstone": {
			reason: "an object still has to go",
			spec: workv1alpha1.BindingSpec{
				Clusters:   to("a"),
				Tombstones: []workv1alpha1.Tombstone{{ClusterName: "x", UID: "u"}, {ClusterName: "x", UID: "v"}},
			},
			reports: []*report{said("a", true, "", 3)},
			want:    metav1.Condition{Status: "False", Reason: "FullyAppliedPending", Message: "waiting for deletion in x"},
		},
		"Dependency": {
			reason: "a dependency goes where its dependents go",
			spec: workv1alpha1.BindingSpec{RequiredBy: []workv1alpha1.BindingSnapshot{
				{Name: "one", Clusters: to("a", "b")}, {Name: "two", Clusters: to("b", "c")},
			}},
			reports: []*report{said("a", true, "", 3), said("b", true, "", 3)},
			want:    metav1.Condition{Status: "False", Reason: "FullyAppliedPending", Message: "waiting for c"},
		},
		"Evicted": {
			reason: "a member being evicted is not waited for",
			spec: workv1alpha1.BindingSpec{
				Clusters:              to("a"),
				GracefulEvictionTasks: []workv1alpha1.GracefulEvictionTask{{FromCluster: "b"}},
			},
			reports: []*report{said("a", true, "", 3)},
			want:    metav1.Condition{Status: "True", Reason: "FullyAppliedSuccess", Message: "applied in all members decided upon"},
		},
		"Many": {
			reason: "a message stays readable",
			spec:   workv1alpha1.BindingSpec{Clusters: to("a", "b", "c", "d", "e", "f", "g")},
			want:   metav1.Condition{Status: "False", Reason: "FullyAppliedPending", Message: "waiting for a, b, c, d, e and 2 more"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			binding := &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Spec: tc.spec}
			binding.Spec.Resource.UID = "u"
			if result := merge(binding, tc.reports, nil, maxStatuses, now); !result.changed || result.refused() {
				t.Errorf("%s: got %v", tc.reason, result)
			}
			tc.want.Type, tc.want.ObservedGeneration, tc.want.LastTransitionTime = workv1alpha1.ConditionFullyApplied, 3, now
			if diff := cmp.Diff([]metav1.Condition{tc.want}, binding.Status.Conditions); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			before := binding.DeepCopy()
			if result := merge(binding, tc.reports, nil, maxStatuses, metav1.NewTime(now.Add(time.Hour))); result.changed {
				t.Errorf("%s: the second time changes nothing: -before +after:\n%s", tc.reason, cmp.Diff(before, binding))
			}
		})
	}
}

func TestMergeAggregates(t *testing.T) {
	binding := &workv1alpha1.ResourceBinding{
		Spec: workv1alpha1.BindingSpec{
			Resource:              workv1alpha1.ObjectReference{UID: "u"},
			Clusters:              []workv1alpha1.TargetCluster{{Name: "b"}, {Name: "a"}},
			GracefulEvictionTasks: []workv1alpha1.GracefulEvictionTask{{FromCluster: "e"}},
		},
		Status: workv1alpha1.BindingStatus{AggregatedStatus: []workv1alpha1.AggregatedStatusItem{
			{ClusterName: "left", TemplateUID: "u"}, {ClusterName: "b", TemplateUID: "u", AppliedMessage: "old"}, {ClusterName: "a", TemplateUID: "before"},
		}},
	}
	result := merge(binding, []*report{said("e", true, "", 0), said("b", true, "new", 0), said("left", true, "", 0)}, nil, maxStatuses, now)
	if diff := cmp.Diff([]verdict{accepted, accepted, {workv1alpha1.FeedbackNotFound, "the member is not in the binding"}}, result.verdicts, cmpopts.EquateComparable(verdict{})); diff != "" {
		t.Errorf("a member being evicted still reports: -want +got:\n%s", diff)
	}
	want := []workv1alpha1.AggregatedStatusItem{
		{ClusterName: "b", TemplateUID: "u", Applied: true, AppliedReason: "new", Health: workv1alpha1.ResourceUnknown},
		{ClusterName: "e", TemplateUID: "u", Applied: true, Health: workv1alpha1.ResourceUnknown},
	}
	if diff := cmp.Diff(want, binding.Status.AggregatedStatus); diff != "" {
		t.Errorf("one item per member, sorted; none of members that left, or about another template: -want +got:\n%s", diff)
	}
	members, err := membersOf(binding, func(string) bool { return false })
	if err != nil || len(members) != 2 || members[0].Cluster != "b" || !members[0].Applied || members[1].Applied {
		t.Errorf("a member being evicted is not counted on: got %v, %v", members, err)
	}
}

// That something ran to its end is remembered when it is gone from the member, whatever is
// reported then.
func TestMergeKeepsTheEnd(t *testing.T) {
	status := func(phase string) *runtime.RawExtension {
		return &runtime.RawExtension{Raw: []byte(`{"phase":"` + phase + `"}`)}
	}
	cases := map[string]struct {
		reason       string
		before, said *runtime.RawExtension
		want         *runtime.RawExtension
	}{
		"Gone":       {reason: "Without the status it would be run again.", before: status("Succeeded"), want: status("Succeeded")},
		"Said":       {reason: "What is there is reported as it is.", before: status("Succeeded"), said: status("Failed"), want: status("Failed")},
		"NotAtEnd":   {reason: "What did not end is to be made again.", before: status("Running")},
		"NoneBefore": {reason: "Nothing was said before."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			binding := &workv1alpha1.ResourceBinding{
				Spec: workv1alpha1.BindingSpec{
					Resource: workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Pod", UID: "u"},
					Clusters: []workv1alpha1.TargetCluster{{Name: "a"}},
				},
				Status: workv1alpha1.BindingStatus{AggregatedStatus: []workv1alpha1.AggregatedStatusItem{{ClusterName: "a", TemplateUID: "u", Status: tc.before}}},
			}
			r := said("a", false, "Suspended", 0)
			r.item.Status = tc.said
			merge(binding, []*report{r}, nil, maxStatuses, now)
			if diff := cmp.Diff(tc.want, binding.Status.AggregatedStatus[0].Status); diff != "" {
				t.Errorf("%s\nstatus (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// Why an object does not go is said and counts for nothing else.
func TestMergeStuckDeletion(t *testing.T) {
	stuck := func(template types.UID, message string) *report {
		return &report{member: "a", item: workv1alpha1.FeedbackItem{
			Name: "w", TemplateUID: template, AppliedReason: workv1alpha1.AppliedReasonForbidden, AppliedMessage: message,
			ContentHash: "tombstone", BindingGeneration: 3, Status: &runtime.RawExtension{Raw: []byte(`{"replicas":1}`)},
		}}
	}
	item := func(template types.UID, message string) workv1alpha1.AggregatedStatusItem {
		return workv1alpha1.AggregatedStatusItem{
			ClusterName: "a", TemplateUID: template, AppliedReason: workv1alpha1.AppliedReasonForbidden, AppliedMessage: message,
			BindingGeneration: 3, Health: workv1alpha1.ResourceUnknown,
		}
	}
	gone := func(template types.UID) *report {
		return &report{member: "a", item: workv1alpha1.FeedbackItem{Name: "w", TemplateUID: template, Deleted: true}}
	}
	before := workv1alpha1.AggregatedStatusItem{
		ClusterName: "a", TemplateUID: "u", AppliedReason: workv1alpha1.AppliedReasonInvalid, ContentHash: "content", BindingGeneration: 3,
	}
	a := []workv1alpha1.TargetCluster{{Name: "a"}}
	cases := map[string]struct {
		reason     string
		clusters   []workv1alpha1.TargetCluster
		tombstones []types.UID
		status     []workv1alpha1.AggregatedStatusItem
		reports    []*report
		refused    bool
		want       []workv1alpha1.AggregatedStatusItem
		message    string
	}{
		"Left": {
			reason:     "the member is not decided upon any more",
			tombstones: []types.UID{"u"},
			reports:    []*report{stuck("u", "no")},
			want:       []workv1alpha1.AggregatedStatusItem{item("u", "no")},
			message:    "waiting for deletion in a",
		},
		"PutBack": {
			reason:     "the member is decided upon again; the old object is no refusal of the new one",
			clusters:   a,
			tombstones: []types.UID{"u"},
			status:     []workv1alpha1.AggregatedStatusItem{before},
			reports:    []*report{stuck("u", "no")},
			want:       []workv1alpha1.AggregatedStatusItem{item("u", "no")},
			message:    "waiting for a",
		},
		"TwoTombstones": {
			reason:     "there is one state for each member, the latest",
			clusters:   a,
			tombstones: []types.UID{"t", "u"},
			status:     []workv1alpha1.AggregatedStatusItem{item("t", "no")},
			reports:    []*report{stuck("u", "still no")},
			want:       []workv1alpha1.AggregatedStatusItem{item("u", "still no")},
			message:    "waiting for a",
		},
		"Kept": {
			reason:     "it is remembered until something else is said",
			tombstones: []types.UID{"u"},
			status:     []workv1alpha1.AggregatedStatusItem{item("u", "no")},
			want:       []workv1alpha1.AggregatedStatusItem{item("u", "no")},
			message:    "waiting for deletion in a",
		},
		"FromBefore": {
			reason:     "what was said before the tombstone is not about it",
			tombstones: []types.UID{"u"},
			status:     []workv1alpha1.AggregatedStatusItem{before},
			message:    "waiting for deletion in a",
		},
		"AppliedBefore": {
			reason:     "the member has not seen the tombstone",
			tombstones: []types.UID{"u"},
			reports:    []*report{said("a", true, "", 3)},
			refused:    true,
			message:    "waiting for deletion in a",
		},
		"OtherTemplate": {
			reason:     "there is no tombstone for that",
			tombstones: []types.UID{"u"},
			reports:    []*report{stuck("t", "no")},
			refused:    true,
			message:    "waiting for deletion in a",
		},
		"Confirmed": {
			reason:     "it went with the tombstone",
			clusters:   a,
			tombstones: []types.UID{"u"},
			status:     []workv1alpha1.AggregatedStatusItem{item("u", "no")},
			reports:    []*report{gone("u")},
			message:    "waiting for a",
		},
		"ConfirmedAtOnce": {
			reason:     "why it did not go is of no interest when it has gone",
			tombstones: []types.UID{"u"},
			reports:    []*report{stuck("u", "no"), gone("u")},
			refused:    true,
			message:    "applied in all members decided upon",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			binding := &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
			binding.Spec.Resource.UID, binding.Spec.Clusters = "u", tc.clusters
			for _, uid := range tc.tombstones {
				binding.Spec.Tombstones = append(binding.Spec.Tombstones, workv1alpha1.Tombstone{ClusterName: "a", UID: uid})
			}
			binding.Status.AggregatedStatus = tc.status
			if result := merge(binding, tc.reports, nil, maxStatuses, now); result.refused() != tc.refused {
				t.Errorf("%s: got %v, want refused %t", tc.reason, result.verdicts, tc.refused)
			}
			if diff := cmp.Diff(tc.want, binding.Status.AggregatedStatus, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if got := binding.Status.Conditions[0].Message; got != tc.message {
				t.Errorf("%s: FullyApplied says %q, want %q", tc.reason, got, tc.message)
			}
			members, err := membersOf(binding, func(string) bool { return false })
			for _, member := range members {
				if member.AppliedReason != "" {
					t.Errorf("%s: the rollup counts %+v", tc.reason, member)
				}
			}
			if err != nil {
				t.Error(err)
			}
			if merge(binding, nil, nil, maxStatuses, now).changed {
				t.Errorf("%s: the second time changes something", tc.reason)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	now := metav1.Now()
	binding := &workv1alpha1.ResourceBinding{}
	binding.Generation = 3
	binding.Spec.Resource.UID = "u"
	binding.Spec.Clusters = []workv1alpha1.TargetCluster{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	failures := map[string]error{"b": errors.New("no such path"), "c": errors.New("no such key")}

	merge(binding, []*report{said("a", true, "", 3), said("c", true, "", 2)}, failures, maxStatuses, now)
	condition := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionFullyApplied)
	want := "not rendered for b: no such path; not rendered for c: no such key"
	if condition.Status != metav1.ConditionFalse || condition.Reason != workv1alpha1.ReasonFullyAppliedFailed || condition.Message != want {
		t.Errorf("every failure is told: %+v", condition)
	}
	if item := binding.Status.AggregatedStatus[1]; item.AppliedReason != workv1alpha1.AppliedReasonRenderFailed || item.AppliedMessage != "no such path" || item.Applied {
		t.Errorf("a member without a work says why: %+v", item)
	}
	if item := binding.Status.AggregatedStatus[2]; !item.Applied {
		t.Errorf("a member keeps what it said of its earlier work: %+v", item)
	}
	if merge(binding, nil, failures, maxStatuses, now).changed {
		t.Error("the same failures were written again")
	}

	merge(binding, nil, map[string]error{"": errors.New("not served")}, maxStatuses, now)
	if item := binding.Status.AggregatedStatus[1]; item.AppliedMessage != "not served" {
		t.Errorf("a failure may be about all members: %+v", item)
	}

	merge(binding, []*report{said("b", true, "", 3), said("c", true, "", 3)}, nil, maxStatuses, now)
	condition = meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionFullyApplied)
	if condition.Status != metav1.ConditionTrue || len(binding.Status.AggregatedStatus) != 3 {
		t.Errorf("failures that are over are forgotten: %+v, %+v", condition, binding.Status.AggregatedStatus)
	}

	many := map[string]error{}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		many[name] = errors.New("x")
	}
	if got := explained(&binding.Spec, map[string]error{"a": errors.New(strings.Repeat("x", 10_000))}); len(got) > 2000 {
		t.Errorf("so has what is said of one member: %d bytes", len(got))
	}
	binding.Spec.Clusters = append(binding.Spec.Clusters, workv1alpha1.TargetCluster{Name: "d"}, workv1alpha1.TargetCluster{Name: "e"})
	want = "not rendered for a: x; not rendered for b: x; not rendered for c: x; not rendered for 2 more"
	if got := explained(&binding.Spec, many); got != want {
		t.Errorf("a message has an end: want %q, got %q", want, got)
	}
}

// TestMergeUnschedulable: Pods without a node are what a member said last, no more.
func TestMergeUnschedulable(t *testing.T) {
	binding := &workv1alpha1.ResourceBinding{Spec: workv1alpha1.BindingSpec{
		Resource: workv1alpha1.ObjectReference{UID: "u"}, Clusters: []workv1alpha1.TargetCluster{{Name: "a", Replicas: 3}},
	}}
	pending := said("a", true, "", 0)
	pending.item.Unschedulable = &workv1alpha1.UnschedulablePods{Count: 2, Since: now}
	for _, step := range []struct {
		reason  string
		report  *report
		changed bool
	}{
		{reason: "two have no node", report: pending, changed: true},
		{reason: "the same again is no news", report: pending},
		{reason: "all have a node", report: said("a", true, "", 0), changed: true},
	} {
		if result := merge(binding, []*report{step.report}, nil, maxStatuses, now); result.changed != step.changed {
			t.Errorf("%s: want changed %v", step.reason, step.changed)
		}
		if diff := cmp.Diff(step.report.item.Unschedulable, binding.Status.AggregatedStatus[0].Unschedulable); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.reason, diff)
		}
	}
}
