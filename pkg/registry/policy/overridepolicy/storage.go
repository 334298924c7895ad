// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package overridepolicy

import (
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/names"

	"fleet.dev/fleet/pkg/apis/policy"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/policy/validation"
	"fleet.dev/fleet/pkg/registry/expression"
	"fleet.dev/fleet/pkg/registry/policy/selector"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

// NewREST returns OverridePolicies.
func NewREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, error) {
	return resource.NewREST(resource.Definition{
		Resource:   policy.Resource("overridepolicies"),
		Singular:   "overridepolicy",
		ShortNames: []string{"op"},
		New:        func() runtime.Object { return &policy.OverridePolicy{} },
		NewList:    func() runtime.Object { return &policy.OverridePolicyList{} },
		Columns:    table.New(columns, cells),
	}, newStrategy(typer, true), getter)
}

// NewClusterREST returns ClusterOverridePolicies.
func NewClusterREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, error) {
	return resource.NewREST(resource.Definition{
		Resource:   policy.Resource("clusteroverridepolicies"),
		Singular:   "clusteroverridepolicy",
		ShortNames: []string{"cop"},
		New:        func() runtime.Object { return &policy.ClusterOverridePolicy{} },
		NewList:    func() runtime.Object { return &policy.ClusterOverridePolicyList{} },
		Columns:    table.New(columns, cells),
	}, newStrategy(typer, false), getter)
}

func newStrategy(typer runtime.ObjectTyper, namespaced bool) resource.Strategy[policy.Override] {
	return resource.Strategy[policy.Override]{
		ObjectTyper:   typer,
		NameGenerator: names.SimpleNameGenerator,
		Namespaced:    namespaced,
		GroupVersion:  policyv1alpha1.SchemeGroupVersion,
		Spec:          func(o policy.Override) any { return o.GetSpec() },
		Check: func(o policy.Override) field.ErrorList {
			return append(validation.ValidateOverride(o), checkExpressions(o)...)
		},
		CheckUpdate: func(o, old policy.Override) field.ErrorList {
			return append(validation.ValidateOverrideUpdate(o, old), checkExpressions(o)...)
		},
		Warn: warnings,
	}
}

// checkExpressions accepts rules whose expressions are CEL.
func checkExpressions(o policy.Override) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec", "overrideRules")
	for i := range o.GetSpec().OverrideRules {
		rule, where := &o.GetSpec().OverrideRules[i], path.Index(i)
		if rule.TargetCluster != nil {
			errs = append(errs, expression.CheckSelector(rule.TargetCluster.Expression, where.Child("targetCluster", "expression"))...)
		}
		errs = append(errs, expression.CheckOverride(rule.Overriders.Expression, where.Child("overriders", "expression"))...)
	}
	return errs
}

var columns = []table.Column{
	{Name: "Selects", Description: "What the policy changes."},
	{Name: "Rules", Description: "Number of rules."},
}

func cells(o policy.Override) []any {
	spec := o.GetSpec()
	selected := "everything"
	if len(spec.ResourceSelectors) > 0 {
		selected = selector.Cell(spec.ResourceSelectors)
	}
	return []any{selected, strconv.Itoa(len(spec.OverrideRules))}
}
