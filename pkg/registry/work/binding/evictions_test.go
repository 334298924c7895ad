// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"

	"fleet.dev/fleet/pkg/apis/work"
)

func TestCreationTimestampOfEvictions(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 999, time.UTC)
	stamp := metav1.NewTime(now).Rfc3339Copy()
	before := metav1.NewTime(now.Add(-time.Hour)).Rfc3339Copy()
	task := func(member string, created *metav1.Time) work.GracefulEvictionTask {
		return work.GracefulEvictionTask{FromCluster: member, Producer: "failover", CreationTimestamp: created}
	}
	type tasks = []work.GracefulEvictionTask
	tests := map[string]struct {
		reason           string
		old, given, want tasks
		generation       int64
	}{
		"OnCreate": {
			reason:     "a binding may begin with an eviction when it is restored",
			given:      tasks{task("m1", nil)},
			want:       tasks{task("m1", &stamp)},
			generation: 1,
		},
		"Added": {
			reason:     "its grace period counts from here, that of the other from where it did",
			old:        tasks{task("m1", &before)},
			given:      tasks{task("m1", &before), task("m2", nil)},
			want:       tasks{task("m1", &before), task("m2", &stamp)},
			generation: 8,
		},
		"LeftOut": {
			reason:     "leaving it out neither prolongs the grace period nor changes the decision",
			old:        tasks{task("m1", &before)},
			given:      tasks{task("m1", nil)},
			want:       tasks{task("m1", &before)},
			generation: 7,
		},
		"AnotherProducer": {
			reason:     "another controller's task is another task",
			old:        tasks{{FromCluster: "m1", Producer: "rebalancer", CreationTimestamp: &before}},
			given:      tasks{task("m1", nil)},
			want:       tasks{task("m1", &stamp)},
			generation: 8,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			strategy := newStrategy(runtime.NewScheme(), true, clocktesting.NewFakePassiveClock(now))
			given := &work.ResourceBinding{Spec: work.BindingSpec{GracefulEvictionTasks: tc.given}}
			if tc.old == nil {
				strategy.PrepareForCreate(t.Context(), given)
			} else {
				old := &work.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Generation: 7}, Spec: work.BindingSpec{GracefulEvictionTasks: tc.old}}
				strategy.PrepareForUpdate(t.Context(), given, old)
			}
			if diff := cmp.Diff(tc.want, given.Spec.GracefulEvictionTasks); diff != "" {
				t.Errorf("%s: tasks, -want +got:\n%s", tc.reason, diff)
			}
			if given.Generation != tc.generation {
				t.Errorf("%s: want generation %d, got %d", tc.reason, tc.generation, given.Generation)
			}
		})
	}
}
