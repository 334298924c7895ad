// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package foreground

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWithoutFinalizer(t *testing.T) {
	now := metav1.Now()
	cases := map[string]struct {
		reason string
		live   metav1.ObjectMeta
		want   string
	}{
		"Waits": {
			reason: "other finalizers are others' to take off",
			live:   metav1.ObjectMeta{UID: "a", ResourceVersion: "7", DeletionTimestamp: &now, Finalizers: []string{"x", metav1.FinalizerDeleteDependents}},
			want:   `{"metadata":{"finalizers":["x"],"resourceVersion":"7","uid":"a"}}`,
		},
		"Another": {
			reason: "another object has the name now",
			live:   metav1.ObjectMeta{UID: "b", DeletionTimestamp: &now, Finalizers: []string{metav1.FinalizerDeleteDependents}},
		},
		"Alive": {
			reason: "it is not being deleted",
			live:   metav1.ObjectMeta{UID: "a", Finalizers: []string{metav1.FinalizerDeleteDependents}},
		},
		"WaitsForElse": {
			reason: "it waits for something else",
			live:   metav1.ObjectMeta{UID: "a", DeletionTimestamp: &now, Finalizers: []string{"x"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := withoutFinalizer(&metav1.PartialObjectMetadata{ObjectMeta: tc.live}, "a")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
