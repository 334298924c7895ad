// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Costs an evaluation may have, in the units of Kubernetes. An affinity is
// evaluated for every member in every decision.
const (
	selectorCost = celconfig.PerCallLimit / 100
	overrideCost = celconfig.PerCallLimit
)

// objectVariable is the name of the template in overrides.
const objectVariable = "object"

// selectors and overrides are what has been compiled.
var (
	selectors = NewCompiler(newSelectorEnv, selectorCost, Exactly(cel.BoolType))
	overrides = NewCompiler(newOverrideEnv, overrideCost, Exactly(Configuration))
)

func newSelectorEnv() (*cel.Env, error) {
	return NewEnv(declared(selectedType))
}

func newOverrideEnv() (*cel.Env, error) {
	return NewEnv(append(declared(factsType), Variable{Name: objectVariable}), Configurations)
}

// declared is the variable cluster of a type.
func declared(cluster *apiservercel.DeclType) []Variable {
	return []Variable{{Name: clusterVariable, Type: cluster}}
}

// Selector is a compiled affinity.
type Selector struct{ program cel.Program }

// CompileSelector compiles an expression that selects members.
func CompileSelector(expression string) (*Selector, error) {
	program, err := selectors.Compile(expression)
	if err != nil {
		return nil, err
	}
	return &Selector{program: program}, nil
}

// Selects reports whether the member is selected.
func (s *Selector) Selects(cluster *clusterv1alpha1.Cluster) (bool, error) {
	result, _, err := s.program.Eval(map[string]any{clusterVariable: selected(cluster)})
	if err != nil {
		return false, fmt.Errorf("evaluate expression: %w", err)
	}
	return result == types.True, nil
}

// Override is a compiled override.
type Override struct{ program cel.Program }

// CompileOverride compiles an expression that returns an apply configuration.
func CompileOverride(expression string) (*Override, error) {
	program, err := overrides.Compile(expression)
	if err != nil {
		return nil, err
	}
	return &Override{program: program}, nil
}

// Evaluate returns the apply configuration for an object in a member, of the kind
// of the object. The object is not changed and shares no memory with the result.
func (o *Override) Evaluate(object map[string]any, facts *workv1alpha1.ClusterFacts) (*unstructured.Unstructured, error) {
	result, _, err := o.program.Eval(map[string]any{objectVariable: object, clusterVariable: known(facts)})
	if err != nil {
		return nil, fmt.Errorf("evaluate expression: %w", err)
	}
	return AsConfiguration(result, (&unstructured.Unstructured{Object: object}).GroupVersionKind())
}
