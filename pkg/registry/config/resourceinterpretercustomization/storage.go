// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resourceinterpretercustomization

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/client-go/kubernetes/scheme"

	"fleet.dev/fleet/pkg/apis/config"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/apis/config/validation"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/registry/expression"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

type customization = config.ResourceInterpreterCustomization

// NewREST returns the resource.
func NewREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, error) {
	return resource.NewREST(resource.Definition{
		Resource:   config.Resource("resourceinterpretercustomizations"),
		Singular:   "resourceinterpretercustomization",
		ShortNames: []string{"ric"},
		New:        func() runtime.Object { return &customization{} },
		NewList:    func() runtime.Object { return &config.ResourceInterpreterCustomizationList{} },
		Columns:    table.New(columns, cells),
	}, newStrategy(typer), getter)
}

func newStrategy(typer runtime.ObjectTyper) resource.Strategy[*customization] {
	return resource.Strategy[*customization]{
		ObjectTyper:   typer,
		NameGenerator: names.SimpleNameGenerator,
		GroupVersion:  configv1alpha1.SchemeGroupVersion,
		Spec:          func(c *customization) any { return c.Spec },
		Check:         Validate,
		CheckUpdate: func(c, old *customization) field.ErrorList {
			return append(validation.ValidateResourceInterpreterCustomizationUpdate(c, old), checkExpressions(c)...)
		},
	}
}

// Validate says what is wrong with a customization, its expressions included.
func Validate(c *config.ResourceInterpreterCustomization) field.ErrorList {
	return append(validation.ValidateResourceInterpreterCustomization(c), checkExpressions(c)...)
}

// nativeRules can be answered for kinds the fleet knows itself, too. The others it
// answers by the types of Kubernetes.
var nativeRules = []interpreter.Rule{interpreter.Retention, interpreter.HealthInterpretation, interpreter.StatusReflection}

// checkExpressions accepts rules that compile.
func checkExpressions(c *customization) field.ErrorList {
	native := scheme.Scheme.IsGroupRegistered(schema.FromAPIVersionAndKind(c.Spec.Target.APIVersion, "").Group)
	var errs field.ErrorList
	for name, rule := range validation.Rules(&c.Spec.Customizations) {
		path := field.NewPath("spec", "customizations", name)
		if native && !slices.Contains(nativeRules, interpreter.Rule(name)) {
			errs = append(errs, field.Forbidden(path, "the fleet knows this of native kinds"))
			continue
		}
		errs = append(errs, expression.CheckRule(interpreter.Rule(name), rule.Expression, path.Child("expression"))...)
	}
	return errs
}

var columns = []table.Column{
	{Name: "Target-API-Version", Description: "API version of the kind it is about."},
	{Name: "Target-Kind", Description: "Kind it is about."},
}

func cells(c *customization) []any {
	return []any{c.Spec.Target.APIVersion, c.Spec.Target.Kind}
}
