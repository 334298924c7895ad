// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package workfeedback

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// sink remembers what it took.
type sink struct {
	err    error
	member string
	items  []workv1alpha1.FeedbackItem
}

func (s *sink) Accept(_ context.Context, member string, items []workv1alpha1.FeedbackItem) ([]workv1alpha1.FeedbackResult, error) {
	s.member, s.items = member, items
	if s.err != nil {
		return nil, s.err
	}
	var results []workv1alpha1.FeedbackResult
	for _, item := range items {
		results = append(results, workv1alpha1.FeedbackResult{Name: item.Name, Accepted: true, Reason: workv1alpha1.FeedbackAccepted})
	}
	return results, nil
}

func report(names ...string) *work.WorkFeedback {
	feedback := &work.WorkFeedback{}
	for _, name := range names {
		feedback.Spec.Items = append(feedback.Spec.Items, work.FeedbackItem{
			Name: name, TemplateUID: "uid", Applied: true, Status: &runtime.RawExtension{Raw: []byte(`{"replicas":1}`)},
		})
	}
	return feedback
}

func TestCreate(t *testing.T) {
	refuse := func(context.Context, runtime.Object) error { return errors.New("refused by admission") }
	tests := map[string]struct {
		reason    string
		namespace string
		object    runtime.Object
		sink      sink
		validate  func(context.Context, runtime.Object) error
		dryRun    []string
		want      []work.FeedbackResult
		taken     []string
		wantErr   func(error) bool
	}{
		"Accepted": {
			reason:    "each item gets its result, in order",
			namespace: "fleet-cluster-m1",
			object:    report("a", "b"),
			want:      []work.FeedbackResult{{Name: "a", Accepted: true, Reason: "Accepted"}, {Name: "b", Accepted: true, Reason: "Accepted"}},
			taken:     []string{"a", "b"},
		},
		"NotAMembersNamespace": {
			reason:    "the namespace says who reports",
			namespace: "default",
			object:    report("a"),
			wantErr:   apierrors.IsInvalid,
		},
		"Invalid": {
			reason:    "nothing of an invalid report is taken",
			namespace: "fleet-cluster-m1",
			object:    report("a", ""),
			wantErr:   apierrors.IsInvalid,
		},
		"Admission": {
			reason:    "admission sees reports like any object",
			namespace: "fleet-cluster-m1",
			object:    report("a"),
			validate:  refuse,
			wantErr:   func(err error) bool { return strings.Contains(err.Error(), "refused by admission") },
		},
		"DryRun": {
			reason:    "nothing is taken, so there are no results",
			namespace: "fleet-cluster-m1",
			object:    report("a"),
			dryRun:    []string{metav1.DryRunAll},
		},
		"SinkFails": {
			reason:    "the member is told to send it again",
			namespace: "fleet-cluster-m1",
			object:    report("a"),
			sink:      sink{err: errors.New("etcd is gone")},
			taken:     []string{"a"},
			wantErr: func(err error) bool {
				return apierrors.IsInternalError(err) && strings.Contains(err.Error(), `take feedback of member "m1": etcd is gone`)
			},
		},
		"AnotherKind": {
			reason:    "the handler decodes by path, so this is a client's mistake",
			namespace: "fleet-cluster-m1",
			object:    &work.Work{},
			wantErr:   apierrors.IsBadRequest,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := genericapirequest.WithNamespace(t.Context(), tc.namespace)
			got, err := NewREST(&tc.sink).Create(ctx, tc.object, tc.validate, &metav1.CreateOptions{DryRun: tc.dryRun})
			var taken []string
			for _, item := range tc.sink.items {
				taken = append(taken, item.Name)
				if tc.sink.member != "m1" || item.TemplateUID != "uid" || string(item.Status.Raw) != `{"replicas":1}` {
					t.Errorf("%s: item reached the sink as %q %+v", tc.reason, tc.sink.member, item)
				}
			}
			if diff := cmp.Diff(tc.taken, taken); diff != "" {
				t.Errorf("%s: items taken, -want +got:\n%s", tc.reason, diff)
			}
			if tc.wantErr != nil {
				if err == nil || !tc.wantErr(err) {
					t.Errorf("%s: got error %v", tc.reason, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got.(*work.WorkFeedback).Status.Results); diff != "" {
				t.Errorf("%s: results, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
