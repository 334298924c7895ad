// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package workloadrebalancer

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/names"

	"fleet.dev/fleet/pkg/apis/apps"
	appsv1alpha1 "fleet.dev/fleet/pkg/apis/apps/v1alpha1"
	"fleet.dev/fleet/pkg/apis/apps/validation"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

type rebalancer = apps.WorkloadRebalancer

// NewREST returns the resource and its status subresource.
func NewREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, *resource.StatusREST, error) {
	strategy := newStrategy(typer)
	storage, err := resource.NewREST(resource.Definition{
		Resource: apps.Resource("workloadrebalancers"),
		Singular: "workloadrebalancer",
		New:      func() runtime.Object { return &rebalancer{} },
		NewList:  func() runtime.Object { return &apps.WorkloadRebalancerList{} },
		Columns:  table.New(columns, cells),
	}, strategy, getter)
	if err != nil {
		return nil, nil, err
	}
	return storage, resource.NewStatusREST(storage, newStatusStrategy(strategy)), nil
}

func newStrategy(typer runtime.ObjectTyper) resource.Strategy[*rebalancer] {
	return resource.Strategy[*rebalancer]{
		ObjectTyper:   typer,
		NameGenerator: names.SimpleNameGenerator,
		GroupVersion:  appsv1alpha1.SchemeGroupVersion,
		Spec:          func(r *rebalancer) any { return r.Spec },
		ResetStatus: func(r, old *rebalancer) {
			r.Status = apps.WorkloadRebalancerStatus{}
			if old != nil {
				r.Status = old.Status
			}
		},
		Check:       validation.ValidateWorkloadRebalancer,
		CheckUpdate: validation.ValidateWorkloadRebalancerUpdate,
	}
}

func newStatusStrategy(strategy resource.Strategy[*rebalancer]) resource.StatusStrategy[*rebalancer] {
	return resource.StatusStrategy[*rebalancer]{
		Strategy:    strategy,
		KeepSpec:    func(r, old *rebalancer) { r.Spec = old.Spec },
		CheckStatus: validation.ValidateWorkloadRebalancerStatusUpdate,
	}
}

var columns = []table.Column{
	{Name: "Workloads", Type: "integer", Description: "Number of workloads to decide anew about."},
	{Name: "Successful", Type: "integer", Description: "Number of those that were decided about."},
	{Name: "Failed", Type: "integer", Description: "Number of those that were not."},
	{Name: "Finished", Description: "Time from creation until all had a result."},
}

func cells(r *rebalancer) []any {
	results := map[apps.RebalanceResult]int64{}
	for _, observed := range r.Status.ObservedWorkloads {
		results[observed.Result]++
	}
	return []any{int64(len(r.Spec.Workloads)), results[apps.RebalanceSuccessful], results[apps.RebalanceFailed], table.Text(took(r.CreationTimestamp, r.Status.FinishTime))}
}

// took returns the time between two moments for people, empty without the second.
func took(from metav1.Time, until *metav1.Time) string {
	if until.IsZero() {
		return ""
	}
	return duration.HumanDuration(until.Sub(from.Time))
}
