// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"

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
	selectors = &compiler{newEnv: newSelectorEnv, result: cel.BoolType, cost: selectorCost}
	overrides = &compiler{newEnv: newOverrideEnv, result: types.NewObjectType(mutation.ObjectTypeName), cost: overrideCost}
)

func newSelectorEnv() (*cel.Env, error) {
	return newEnv(selectedType)
}

func newOverrideEnv() (*cel.Env, error) {
	env, err := newEnv(factsType, cel.Variable(objectVariable, cel.DynType))
	if err != nil {
		return nil, err
	}
	// Last, so that it finds the declared types too.
	return env.Extend(common.ResolverEnvOption(&mutation.DynamicTypeResolver{}))
}

// newEnv makes an environment with the variable cluster of a type.
func newEnv(cluster *apiservercel.DeclType, options ...cel.EnvOption) (*cel.Env, error) {
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        append(options, cel.Variable(clusterVariable, cluster.CelType())),
		DeclTypes:         []*apiservercel.DeclType{cluster},
	})
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	return set.Env(environment.StoredExpressions)
}

// Selector is a compiled affinity.
type Selector struct{ program cel.Program }

// CompileSelector compiles an expression that selects members.
func CompileSelector(expression string) (*Selector, error) {
	program, err := selectors.compile(expression)
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
	program, err := overrides.compile(expression)
	if err != nil {
		return nil, err
	}
	return &Override{program: program}, nil
}

// errNoConfiguration is for a result that the type checker should have refused.
var errNoConfiguration = errors.New("evaluate expression: the result is no apply configuration")

// Evaluate returns the apply configuration for an object in a member, of the kind
// of the object. The object is not changed and shares no memory with the result.
func (o *Override) Evaluate(object map[string]any, facts *workv1alpha1.ClusterFacts) (*unstructured.Unstructured, error) {
	result, _, err := o.program.Eval(map[string]any{objectVariable: object, clusterVariable: known(facts)})
	if err != nil {
		return nil, fmt.Errorf("evaluate expression: %w", err)
	}
	configuration, ok := result.(*dynamic.ObjectVal)
	if !ok {
		return nil, errNoConfiguration
	}
	if err := configuration.CheckTypeNamesMatchFieldPathNames(); err != nil {
		return nil, fmt.Errorf("evaluate expression: %s", inOrder(err))
	}
	value, err := asJSON(configuration.Value())
	if err != nil {
		return nil, fmt.Errorf("evaluate expression: %w", err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, errNoConfiguration
	}
	made := &unstructured.Unstructured{Object: fields}
	made.SetGroupVersionKind((&unstructured.Unstructured{Object: object}).GroupVersionKind())
	return made, nil
}

// maxKept bounds the compiled expressions of one sort that are kept. When there
// are more, all are forgotten; a fleet has far fewer.
const maxKept = 1000

// compiler compiles expressions of one sort.
type compiler struct {
	newEnv func() (*cel.Env, error)
	result *cel.Type
	cost   uint64

	mu   sync.Mutex
	env  *cel.Env // made at first use: it is large, and most fleets have no expressions
	kept map[string]compiled
}

type compiled struct {
	program cel.Program
	err     error
}

func (c *compiler) compile(expression string) (cel.Program, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.kept[expression]; ok {
		return known.program, known.err
	}
	program, err := c.compileLocked(expression)
	if len(c.kept) >= maxKept || c.kept == nil {
		c.kept = map[string]compiled{}
	}
	c.kept[expression] = compiled{program: program, err: err}
	return program, err
}

func (c *compiler) compileLocked(expression string) (cel.Program, error) {
	if c.env == nil {
		env, err := c.newEnv()
		if err != nil {
			return nil, err
		}
		c.env = env
	}
	ast, issues := c.env.Compile(expression)
	if issues.Err() != nil {
		return nil, NewCompileError(issues)
	}
	if !ast.OutputType().IsExactType(c.result) {
		return nil, fmt.Errorf("must return %s, not %s", c.result, ast.OutputType())
	}
	program, err := c.env.Program(ast, cel.CostLimit(c.cost), cel.CostTracking(&library.CostEstimator{}), cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost))
	if err != nil {
		return nil, fmt.Errorf("prepare expression: %w", err)
	}
	return program, nil
}
