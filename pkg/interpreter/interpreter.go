// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
)

// Interpreter answers questions about objects of the kinds that customizations are
// for. A nil one knows no kind.
type Interpreter struct {
	kinds map[schema.GroupVersionKind]map[Rule]*answer
}

// answer is the expression that answers a rule for a kind.
type answer struct {
	customization string
	text          string
	compile       func() (cel.Program, error)
}

// New returns an Interpreter for customizations, those of users before the built-in
// ones. It keeps no reference to them. An expression that does not compile is an error
// when it is asked, so that it harms no other.
func New(users, builtin []*configv1alpha1.ResourceInterpreterCustomization) *Interpreter {
	i := &Interpreter{kinds: map[schema.GroupVersionKind]map[Rule]*answer{}}
	for _, list := range [][]*configv1alpha1.ResourceInterpreterCustomization{users, builtin} {
		for _, customization := range sorted(list) {
			i.add(customization)
		}
	}
	return i
}

func sorted(list []*configv1alpha1.ResourceInterpreterCustomization) []*configv1alpha1.ResourceInterpreterCustomization {
	return slices.SortedFunc(slices.Values(list), func(a, b *configv1alpha1.ResourceInterpreterCustomization) int {
		return cmp.Compare(a.Name, b.Name)
	})
}

// add has a customization answer what none before it does.
func (i *Interpreter) add(customization *configv1alpha1.ResourceInterpreterCustomization) {
	target := customization.Spec.Target
	kind := schema.FromAPIVersionAndKind(target.APIVersion, target.Kind)
	answers := i.kinds[kind]
	if answers == nil {
		answers = map[Rule]*answer{}
		i.kinds[kind] = answers
	}
	for rule, text := range rulesOf(&customization.Spec.Customizations) {
		if answers[rule] == nil {
			answers[rule] = &answer{
				customization: customization.Name, text: text,
				compile: sync.OnceValues(func() (cel.Program, error) { return compile(rule, text) }),
			}
		}
	}
}

// Kinds returns the kinds that have answers, in no order.
func (i *Interpreter) Kinds() []schema.GroupVersionKind {
	if i == nil {
		return nil
	}
	kinds := make([]schema.GroupVersionKind, 0, len(i.kinds))
	for kind := range i.kinds {
		kinds = append(kinds, kind)
	}
	return kinds
}

// Answers reports whether one of the rules has an answer for the kind.
func (i *Interpreter) Answers(kind schema.GroupVersionKind, rules ...Rule) bool {
	return slices.ContainsFunc(rules, func(rule Rule) bool { return i.answer(kind, rule) != nil })
}

// Expression returns the expression that answers a rule for a kind and the name of
// its customization; both are empty when there is none.
func (i *Interpreter) Expression(kind schema.GroupVersionKind, rule Rule) (text, customization string) {
	answer := i.answer(kind, rule)
	if answer == nil {
		return "", ""
	}
	return answer.text, answer.customization
}

// Same reports whether both answer the rules alike for the kind.
func (i *Interpreter) Same(other *Interpreter, kind schema.GroupVersionKind, rules ...Rule) bool {
	return !slices.ContainsFunc(rules, func(rule Rule) bool {
		mine, _ := i.Expression(kind, rule)
		others, _ := other.Expression(kind, rule)
		return mine != others
	})
}

func (i *Interpreter) answer(kind schema.GroupVersionKind, rule Rule) *answer {
	if i == nil {
		return nil
	}
	return i.kinds[kind][rule]
}

// Error says that an expression did not answer.
type Error struct {
	// Rule that was asked.
	Rule Rule
	// Kind of the object.
	Kind schema.GroupVersionKind
	// Customization whose expression it is; empty for one that a binding recorded.
	Customization string
	// Err says what went wrong.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Customization == "" {
		return fmt.Sprintf("interpret %s of %s: %v", e.Rule, e.Kind.GroupKind(), e.Err)
	}
	return fmt.Sprintf("interpret %s of %s by customization %q: %v", e.Rule, e.Kind.GroupKind(), e.Customization, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ask evaluates the answer to a rule and has it read. It returns false when there is
// none.
func (i *Interpreter) ask(rule Rule, object *unstructured.Unstructured, variables map[string]any, read func(ref.Val) error) (bool, error) {
	kind := object.GroupVersionKind()
	answer := i.answer(kind, rule)
	if answer == nil {
		return false, nil
	}
	result, err := answer.evaluate(object, variables)
	if err == nil && result != types.NullValue {
		err = read(result)
	}
	if err != nil {
		return false, &Error{Rule: rule, Kind: kind, Customization: answer.customization, Err: err}
	}
	return result != types.NullValue, nil
}

func (a *answer) evaluate(object *unstructured.Unstructured, variables map[string]any) (ref.Val, error) {
	program, err := a.compile()
	if err != nil {
		return nil, err
	}
	return evaluate(program, object, variables)
}

func evaluate(program cel.Program, object *unstructured.Unstructured, variables map[string]any) (ref.Val, error) {
	if variables == nil {
		variables = map[string]any{}
	}
	variables[objectVariable] = object.Object
	result, _, err := program.Eval(variables)
	if err != nil {
		return nil, err
	}
	if result == nil {
		return nil, errNoResult
	}
	return result, nil
}

// errNoResult is for an evaluation that came to nothing without saying why.
var errNoResult = errors.New("no result")
