// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package loop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/controllers/loop"
)

func TestRun(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "webs"}, "web", nil)
	for name, tc := range map[string]struct {
		reason  string
		answers []answer
		within  time.Duration
		want    int
	}{
		"Done": {
			reason: "what is in order is left alone", answers: []answer{{}}, within: time.Hour, want: 1,
		},
		"Again": {
			reason: "what asks for it is looked at again", answers: []answer{{again: time.Minute}, {}}, within: time.Hour, want: 2,
		},
		"NotYet": {
			reason: "but not before its time", answers: []answer{{again: time.Minute}, {}}, within: 59 * time.Second, want: 1,
		},
		"Failed": {
			reason: "what fails is tried again until it does not", answers: []answer{{err: conflict}, {err: conflict}, {}}, within: time.Minute, want: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				calls := 0
				l := loop.New(loop.Config{
					Name: "test", Key: "object", Workers: 1,
					Reconcile: func(_ context.Context, name string) (time.Duration, error) {
						if name != "web" {
							t.Errorf("reconciled %q, want web", name)
						}
						calls++
						return tc.answers[min(calls, len(tc.answers))-1].again, tc.answers[min(calls, len(tc.answers))-1].err
					},
				})
				done := make(chan struct{})
				go func() { defer close(done); l.Run(ctx) }()
				l.Queue.Add("web")
				time.Sleep(tc.within)
				synctest.Wait()
				cancel()
				<-done
				if calls != tc.want {
					t.Errorf("reconciled %d times, want %d: %s", calls, tc.want, tc.reason)
				}
			})
		})
	}
}

// answer is what one call returns.
type answer struct {
	again time.Duration
	err   error
}
