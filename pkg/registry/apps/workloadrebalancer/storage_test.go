// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package workloadrebalancer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/apps"
	"fleet.dev/fleet/pkg/registry/table"
	"fleet.dev/fleet/pkg/registry/table/tabletest"
)

func newRebalancer() *rebalancer {
	web := apps.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	api := apps.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "api"}
	return &rebalancer{
		ObjectMeta: metav1.ObjectMeta{Name: "monday", ResourceVersion: "1", Generation: 4},
		Spec:       apps.WorkloadRebalancerSpec{Workloads: []apps.ObjectReference{web, api}},
		Status: apps.WorkloadRebalancerStatus{
			ObservedWorkloads: []apps.ObservedWorkload{{Workload: web, Result: apps.RebalanceSuccessful}, {Workload: api}},
		},
	}
}

func TestStatusIsTheControllers(t *testing.T) {
	strategy := newStrategy(runtime.NewScheme())
	status := newStatusStrategy(strategy)

	made := newRebalancer()
	strategy.PrepareForCreate(t.Context(), made)
	if diff := cmp.Diff(apps.WorkloadRebalancerStatus{}, made.Status); diff != "" {
		t.Errorf("a new object brings no status: -want, +got:\n%s", diff)
	}

	old, changed := newRebalancer(), newRebalancer()
	changed.Spec.Workloads = changed.Spec.Workloads[:1]
	changed.Status.ObservedWorkloads = nil
	updated := changed.DeepCopy()
	strategy.PrepareForUpdate(t.Context(), updated, old)
	want := newRebalancer()
	want.Generation, want.Spec = 5, changed.Spec
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("its user changes the spec: -want, +got:\n%s", diff)
	}

	updated = changed.DeepCopy()
	status.PrepareForUpdate(t.Context(), updated, old)
	want = newRebalancer()
	want.Status = changed.Status
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("the controller changes the status: -want, +got:\n%s", diff)
	}
}

func TestColumns(t *testing.T) {
	failed := newRebalancer()
	failed.Status.ObservedWorkloads[1].Result = apps.RebalanceFailed
	tabletest.Golden(t, table.New(columns, cells), "columns.txt", newRebalancer(), failed)
}

func TestTook(t *testing.T) {
	made := metav1.NewTime(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	if got := took(made, new(metav1.NewTime(made.Add(90*time.Second)))); got != "90s" {
		t.Errorf("want 90s from creation to the end, got %q", got)
	}
	if got := took(made, nil); got != "" {
		t.Errorf("want nothing before the end, got %q", got)
	}
}
