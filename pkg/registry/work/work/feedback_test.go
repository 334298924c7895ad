// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func TestFeedbackItem(t *testing.T) {
	reported := func(status work.WorkStatus) *work.Work {
		return &work.Work{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec:       work.WorkSpec{Template: work.TemplateReference{UID: "t", Generation: 9}, Binding: work.BindingReference{Generation: 3}, ContentHash: "new"},
			Status:     status,
		}
	}
	tests := map[string]struct {
		reason string
		status work.WorkStatus
		want   workv1alpha1.FeedbackItem
	}{
		"Empty": {
			reason: "no condition means not applied",
			want:   workv1alpha1.FeedbackItem{Name: "web", TemplateUID: "t", BindingGeneration: 3, Health: workv1alpha1.ResourceUnknown},
		},
		"Everything": {
			reason: "hash and generations are those the member has, not those it should have",
			status: work.WorkStatus{
				Conditions: []metav1.Condition{{Type: work.WorkApplied, Status: metav1.ConditionTrue, Reason: work.AppliedReasonSuccess, Message: "done"}},
				ManifestStatuses: []work.ManifestStatus{{
					Health: work.ResourceHealthy, Status: &runtime.RawExtension{Raw: []byte(`{"replicas":1}`)},
				}},
				ContentHash: "old", TemplateGeneration: 8, MemberGeneration: 5,
			},
			want: workv1alpha1.FeedbackItem{
				Name: "web", TemplateUID: "t", BindingGeneration: 3, ContentHash: "old", TemplateGeneration: 8, MemberGeneration: 5,
				Applied: true, AppliedReason: work.AppliedReasonSuccess, AppliedMessage: "done",
				Health: workv1alpha1.ResourceHealthy, Status: &runtime.RawExtension{Raw: []byte(`{"replicas":1}`)},
			},
		},
		"WithoutHealth": {
			reason: "a member that does not judge does not call it healthy",
			status: work.WorkStatus{ManifestStatuses: []work.ManifestStatus{{}}},
			want:   workv1alpha1.FeedbackItem{Name: "web", TemplateUID: "t", BindingGeneration: 3, Health: workv1alpha1.ResourceUnknown},
		},
		"Deleted": {
			reason: "a confirmed deletion has no manifest left",
			status: work.WorkStatus{Deleted: true},
			want:   workv1alpha1.FeedbackItem{Name: "web", TemplateUID: "t", BindingGeneration: 3, Deleted: true, Health: workv1alpha1.ResourceUnknown},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := feedbackItem(reported(tc.status))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: feedbackItem, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestStatusUpdateKeepsTheRest(t *testing.T) {
	old := &work.Work{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"a": "b"}},
		Spec:       work.WorkSpec{ContentHash: "h"},
		Status:     work.WorkStatus{ContentHash: "before"},
	}
	updated := &work.Work{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       work.WorkSpec{Deleted: true},
		Status:     work.WorkStatus{ContentHash: "after"},
	}
	strategy{}.PrepareForUpdate(t.Context(), updated, old)
	want := old.DeepCopy()
	want.Status.ContentHash = "after"
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("a member reports a status and orders nothing, -want +got:\n%s", diff)
	}
}
