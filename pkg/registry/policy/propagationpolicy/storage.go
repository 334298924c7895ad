// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package propagationpolicy

import (
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/names"

	"fleet.dev/fleet/pkg/apis/policy"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/policy/validation"
	"fleet.dev/fleet/pkg/registry/policy/selector"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

// NewREST returns PropagationPolicies.
func NewREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, error) {
	return resource.NewREST(resource.Definition{
		Resource:   policy.Resource("propagationpolicies"),
		Singular:   "propagationpolicy",
		ShortNames: []string{"pp"},
		New:        func() runtime.Object { return &policy.PropagationPolicy{} },
		NewList:    func() runtime.Object { return &policy.PropagationPolicyList{} },
		Columns:    table.New(columns, cells),
	}, newStrategy(typer, true), getter)
}

// NewClusterREST returns ClusterPropagationPolicies.
func NewClusterREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, error) {
	return resource.NewREST(resource.Definition{
		Resource:   policy.Resource("clusterpropagationpolicies"),
		Singular:   "clusterpropagationpolicy",
		ShortNames: []string{"cpp"},
		New:        func() runtime.Object { return &policy.ClusterPropagationPolicy{} },
		NewList:    func() runtime.Object { return &policy.ClusterPropagationPolicyList{} },
		Columns:    table.New(columns, cells),
	}, newStrategy(typer, false), getter)
}

func newStrategy(typer runtime.ObjectTyper, namespaced bool) resource.Strategy[policy.Propagation] {
	return resource.Strategy[policy.Propagation]{
		ObjectTyper:   typer,
		NameGenerator: names.SimpleNameGenerator,
		Namespaced:    namespaced,
		GroupVersion:  policyv1alpha1.SchemeGroupVersion,
		Spec:          func(p policy.Propagation) any { return p.GetSpec() },
		Check: func(p policy.Propagation) field.ErrorList {
			return append(validation.ValidatePropagation(p), checkExpressions(p)...)
		},
		CheckUpdate: func(p, old policy.Propagation) field.ErrorList {
			return append(validation.ValidatePropagationUpdate(p, old), checkExpressions(p)...)
		},
		Warn: warnings,
	}
}

var columns = []table.Column{
	{Name: "Priority", Description: "Of several policies of a scope that select an object, the highest wins."},
	{Name: "Placement", Description: "How members are chosen and replicas divided."},
	{Name: "Selects", Description: "What the policy is about.", Wide: true},
}

func cells(p policy.Propagation) []any {
	spec := p.GetSpec()
	return []any{strconv.Itoa(int(spec.Priority)), summary(&spec.Placement), selector.Cell(spec.ResourceSelectors)}
}

// summary tells in a few words what a placement does.
func summary(placement *policy.Placement) string {
	if placement.Auto != nil {
		return "Auto"
	}
	scheduling := placement.ReplicaScheduling
	if scheduling == nil || scheduling.ReplicaSchedulingType != policy.Divided {
		return string(policy.Duplicated)
	}
	return string(policy.Divided) + "/" + string(scheduling.ReplicaDivisionPreference)
}
