// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/podspec"
)

// Names of the functions of the fleet.
const (
	podRequirements = "podRequirements"
	podDependencies = "podDependencies"
)

// functionCosts are the costs of a call. Reading a Pod template takes as long as a
// thousand simple steps.
var functionCosts = map[string]uint64{podRequirements: 1000, podDependencies: 1000}

// Requirements is what one Pod needs, shaped as spec.replicaRequirements of a binding.
var Requirements = &Struct{Name: "Requirements", Fields: map[string]*cel.Type{
	"nodeClaim":         cel.DynType,
	"resourceRequest":   cel.MapType(cel.StringType, cel.DynType),
	"namespace":         cel.StringType,
	"priorityClassName": cel.StringType,
}}

// Dependency names an object, or by their labels several, that another needs.
var Dependency = &Struct{Name: "Dependency", Fields: map[string]*cel.Type{
	"apiVersion":    cel.StringType,
	"kind":          cel.StringType,
	"namespace":     cel.StringType,
	"name":          cel.StringType,
	"labelSelector": cel.DynType,
}}

// PodFunctions are the options of an environment with Requirements and Dependency,
// whose expressions read Pod templates:
//
//	podRequirements(<template>) <Requirements>
//
// returns what one such Pod needs.
//
//	podDependencies(<template>, <namespace>) <list of Dependency>
//
// returns the ConfigMaps, Secrets, the ServiceAccount and the PersistentVolumeClaims
// that such a Pod refers to.
func PodFunctions() []cel.EnvOption {
	return []cel.EnvOption{
		Structs(Requirements, Dependency),
		cel.Function(podRequirements, cel.Overload(podRequirements+"_dyn",
			[]*cel.Type{cel.DynType}, Requirements.Type(), cel.UnaryBinding(requirementsOf))),
		cel.Function(podDependencies, cel.Overload(podDependencies+"_dyn_string",
			[]*cel.Type{cel.DynType, cel.StringType}, cel.ListType(Dependency.Type()), cel.BinaryBinding(dependenciesOf))),
	}
}

func requirementsOf(value ref.Val) ref.Val {
	template, err := podTemplate(value)
	if err != nil {
		return types.NewErr("%s: %v", podRequirements, err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(podspec.Requirements("", &podspec.PodOf("", template).Spec))
	if err != nil {
		return types.NewErr("%s: %v", podRequirements, err)
	}
	return Requirements.of(fields)
}

func dependenciesOf(value, namespace ref.Val) ref.Val {
	template, err := podTemplate(value)
	if err != nil {
		return types.NewErr("%s: %v", podDependencies, err)
	}
	in, ok := namespace.Value().(string)
	if !ok {
		return types.MaybeNoSuchOverloadErr(namespace)
	}
	found := []ref.Val{}
	for _, reference := range podspec.References(&template.Spec) {
		found = append(found, Dependency.of(map[string]any{"apiVersion": "v1", "kind": reference.Kind, "namespace": in, "name": reference.Name}))
	}
	return types.DefaultTypeAdapter.NativeToValue(found)
}

func podTemplate(from ref.Val) (*corev1.PodTemplateSpec, error) {
	value, err := AsJSON(from)
	if err != nil {
		return nil, fmt.Errorf("read pod template: %w", err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("read pod template: it is a %s", from.Type())
	}
	template := &corev1.PodTemplateSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, template); err != nil {
		return nil, fmt.Errorf("read pod template: %w", err)
	}
	return template, nil
}
