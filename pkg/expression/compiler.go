// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
)

// Variable is a name in expressions.
type Variable struct {
	// Name of it.
	Name string
	// Type of it; nil is any JSON, of which nothing is checked.
	Type *apiservercel.DeclType
}

// Configurations is the option of an environment whose expressions make apply
// configurations.
func Configurations(env *cel.Env) (*cel.Env, error) {
	return common.ResolverEnvOption(&mutation.DynamicTypeResolver{})(env)
}

// NewEnv makes an environment: the dialect of Kubernetes, with variables. Options
// come last, so that they find the types of the variables.
func NewEnv(variables []Variable, options ...cel.EnvOption) (*cel.Env, error) {
	extension := environment.VersionedOptions{IntroducedVersion: version.MajorMinor(1, 0)}
	for _, variable := range variables {
		if variable.Type == nil {
			extension.EnvOptions = append(extension.EnvOptions, cel.Variable(variable.Name, cel.DynType))
			continue
		}
		extension.EnvOptions = append(extension.EnvOptions, cel.Variable(variable.Name, variable.Type.CelType()))
		extension.DeclTypes = append(extension.DeclTypes, elementType(variable.Type))
	}
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(extension)
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	env, err := set.Env(environment.StoredExpressions)
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	return env.Extend(options...)
}

// elementType returns the type that has fields, of a list that of its items.
func elementType(from *apiservercel.DeclType) *apiservercel.DeclType {
	if from.IsList() {
		return from.ElemType
	}
	return from
}

// maxKept bounds the compiled expressions of one sort that are kept. When there
// are more, all are forgotten; a fleet has far fewer.
const maxKept = 1000

// Compiler compiles expressions of one sort and keeps them by their text. It is
// safe for concurrent use.
type Compiler struct {
	newEnv func() (*cel.Env, error)
	cost   uint64
	result Result

	mu   sync.Mutex
	env  *cel.Env // made at first use: it is large, and most fleets have no expressions
	kept map[string]compiled
}

type compiled struct {
	program cel.Program
	err     error
}

// Result is what expressions of one sort return.
type Result struct {
	// Name of it, for people.
	Name string
	// Accepts reports whether a type is one of it, as far as the compiler knows.
	Accepts func(*cel.Type) bool
}

// Exactly is a result of one type.
func Exactly(result *cel.Type) Result {
	return Result{Name: result.String(), Accepts: result.IsExactType}
}

// NewCompiler returns a Compiler for expressions of the environment that newEnv
// makes. An evaluation may cost so much, in the units of Kubernetes.
func NewCompiler(newEnv func() (*cel.Env, error), cost uint64, result Result) *Compiler {
	return &Compiler{newEnv: newEnv, cost: cost, result: result}
}

// Compile compiles an expression, and says what is wrong with it.
func (c *Compiler) Compile(expression string) (cel.Program, error) {
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

func (c *Compiler) compileLocked(expression string) (cel.Program, error) {
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
	if !c.result.Accepts(ast.OutputType()) {
		return nil, fmt.Errorf("must return %s, not %s", c.result.Name, ast.OutputType())
	}
	program, err := c.env.Program(ast, cel.CostLimit(c.cost), cel.CostTracking(costs{&library.CostEstimator{}}), cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost))
	if err != nil {
		return nil, fmt.Errorf("prepare expression: %w", err)
	}
	return program, nil
}

// costs are those of Kubernetes, and of the functions of the fleet.
type costs struct {
	interpreter.ActualCostEstimator
}

// CallCost implements interpreter.ActualCostEstimator.
func (c costs) CallCost(function, overloadID string, args []ref.Val, result ref.Val) *uint64 {
	if cost, ok := functionCosts[function]; ok {
		return &cost
	}
	return c.ActualCostEstimator.CallCost(function, overloadID, args, result)
}
