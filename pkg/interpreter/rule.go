// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
)

// Rule is a question, by the name of its field in spec.customizations.
type Rule string

// The questions.
const (
	// Retention is what the object keeps of what it is in the member.
	Retention Rule = "retention"
	// ReplicaResource is how many Pods the object asks for, and what one needs.
	ReplicaResource Rule = "replicaResource"
	// ComponentResource is the same for objects with several sorts of Pods.
	ComponentResource Rule = "componentResource"
	// ReplicaRevision is the object with another number of replicas.
	ReplicaRevision Rule = "replicaRevision"
	// StatusReflection is what the fleet is told of the status in a member.
	StatusReflection Rule = "statusReflection"
	// StatusAggregation is the status that follows from those in members.
	StatusAggregation Rule = "statusAggregation"
	// HealthInterpretation is whether the object in a member does what it should.
	HealthInterpretation Rule = "healthInterpretation"
	// DependencyInterpretation is what has to be where the object is.
	DependencyInterpretation Rule = "dependencyInterpretation"
)

// Names of variables in expressions.
const (
	objectVariable   = "object"
	observedVariable = "observed"
	replicasVariable = "replicas"
	itemsVariable    = "items"
)

// costLimit bounds one evaluation, in the units of Kubernetes.
const costLimit = celconfig.PerCallLimit

// itemType is an item of items.
var itemType = apiservercel.NewObjectType("fleet.MemberStatus", map[string]*apiservercel.DeclField{
	"cluster": apiservercel.NewDeclField("cluster", apiservercel.StringType, true, nil, nil),
	"status":  apiservercel.NewDeclField("status", apiservercel.DynType, true, nil, nil),
	"health":  apiservercel.NewDeclField("health", apiservercel.StringType, true, nil, nil),
})

// replicas and component are what expressions make of answers.
var (
	replicas = &expression.Struct{Name: "Replicas", Fields: map[string]*cel.Type{
		"replicas": cel.IntType, "requirements": expression.Requirements.Type(),
	}}
	component = &expression.Struct{Name: "Component", Fields: map[string]*cel.Type{
		"name": cel.StringType, "replicas": cel.IntType, "requirements": expression.Requirements.Type(),
	}}
)

// Results of rules. What is read from an object has no type before it is read, and
// may take the place of any.
var (
	configurations = expression.Exactly(expression.Configuration)
	oneReplicas    = structOrMap(replicas.Name)
	aStatus        = structOrMap("Object.status")
	components     = listOf(component.Name)
	dependencies   = listOf(expression.Dependency.Name)
	aBool          = expression.Result{Name: "bool", Accepts: func(result *cel.Type) bool {
		return result.Kind() == types.BoolKind || result.Kind() == types.DynKind
	}}
)

func structOrMap(name string) expression.Result {
	return expression.Result{Name: name, Accepts: func(result *cel.Type) bool { return isStructOrMap(result, name) }}
}

func listOf(name string) expression.Result {
	return expression.Result{Name: "list(" + name + ")", Accepts: func(result *cel.Type) bool {
		return result.Kind() == types.DynKind || result.Kind() == types.ListKind && isStructOrMap(result.Parameters()[0], name)
	}}
}

// isStructOrMap accepts a struct by its name, and maps, whose fields are looked at
// when there are some.
func isStructOrMap(result *cel.Type, name string) bool {
	switch result.Kind() {
	case types.DynKind, types.MapKind, types.TypeParamKind:
		return true
	case types.StructKind:
		return result.TypeName() == name
	default:
		return false
	}
}

// compilers compile the expressions of each rule, over the variables it has.
var compilers = map[Rule]*expression.Compiler{
	Retention:                newCompiler(configurations, expression.Variable{Name: observedVariable}),
	ReplicaResource:          newCompiler(oneReplicas),
	ComponentResource:        newCompiler(components),
	ReplicaRevision:          newCompiler(configurations, expression.Variable{Name: replicasVariable, Type: apiservercel.IntType}),
	StatusReflection:         newCompiler(aStatus),
	StatusAggregation:        newCompiler(aStatus, expression.Variable{Name: itemsVariable, Type: apiservercel.NewListType(itemType, -1)}),
	HealthInterpretation:     newCompiler(aBool),
	DependencyInterpretation: newCompiler(dependencies),
}

func newCompiler(result expression.Result, variables ...expression.Variable) *expression.Compiler {
	variables = append(variables, expression.Variable{Name: objectVariable})
	return expression.NewCompiler(func() (*cel.Env, error) {
		return expression.NewEnv(variables, append(expression.PodFunctions(), expression.Structs(replicas, component), expression.Configurations)...)
	}, costLimit, result)
}

// Check says what is wrong with an expression as the answer to a rule.
func Check(rule Rule, text string) error {
	_, err := compile(rule, text)
	return err
}

func compile(rule Rule, text string) (cel.Program, error) {
	compiler, ok := compilers[rule]
	if !ok {
		return nil, fmt.Errorf("compile %q: there is no such rule", rule)
	}
	return compiler.Compile(text)
}

// rulesOf returns the expressions that are given.
func rulesOf(from *configv1alpha1.CustomizationRules) map[Rule]string {
	given := map[Rule]string{}
	for rule, customization := range map[Rule]*configv1alpha1.CustomizationRule{
		Retention:                from.Retention,
		ReplicaResource:          from.ReplicaResource,
		ComponentResource:        from.ComponentResource,
		ReplicaRevision:          from.ReplicaRevision,
		StatusReflection:         from.StatusReflection,
		StatusAggregation:        from.StatusAggregation,
		HealthInterpretation:     from.HealthInterpretation,
		DependencyInterpretation: from.DependencyInterpretation,
	} {
		if customization != nil {
			given[rule] = customization.Expression
		}
	}
	return given
}
