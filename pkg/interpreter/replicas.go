// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
)

// replicasAnswer is what replicaResource returns, and an item of componentResource.
type replicasAnswer struct {
	Name         string                            `json:"name,omitempty"`
	Replicas     *int64                            `json:"replicas"`
	Requirements *workv1alpha1.ReplicaRequirements `json:"requirements,omitempty"`
}

// count returns the replicas.
func (a *replicasAnswer) count() (int32, error) {
	switch {
	case a.Replicas == nil:
		return 0, fmt.Errorf("read replicas: there are none in the answer")
	case *a.Replicas < 0 || *a.Replicas > math.MaxInt32:
		return 0, fmt.Errorf("read replicas: %d is no number of replicas", *a.Replicas)
	default:
		return int32(*a.Replicas), nil
	}
}

// requirements returns those of a Pod in a namespace.
func (a *replicasAnswer) requirements(namespace string) *workv1alpha1.ReplicaRequirements {
	required := a.Requirements
	if required == nil {
		required = &workv1alpha1.ReplicaRequirements{}
	}
	required.Namespace = cmp.Or(required.Namespace, namespace)
	return required
}

// Replicas returns how many Pods an object asks for and what one of them needs.
func (i *Interpreter) Replicas(object *unstructured.Unstructured) (replicas int32, requirements *workv1alpha1.ReplicaRequirements, ok bool, err error) {
	ok, err = i.ask(ReplicaResource, object, nil, func(result ref.Val) error {
		answer, err := decode[replicasAnswer](result)
		if err != nil {
			return err
		}
		if answer.Name != "" {
			return fmt.Errorf("read replicas: unknown field %q", "name")
		}
		requirements = answer.requirements(object.GetNamespace())
		replicas, err = answer.count()
		return err
	})
	if !ok || err != nil {
		return 0, nil, false, err
	}
	return replicas, requirements, true, nil
}

// Components returns the sorts of Pods of an object that has several, sorted by name.
func (i *Interpreter) Components(object *unstructured.Unstructured) (components []workv1alpha1.Component, ok bool, err error) {
	ok, err = i.ask(ComponentResource, object, nil, func(result ref.Val) error {
		components, err = componentsOf(result, object.GetNamespace())
		return err
	})
	if !ok || err != nil {
		return nil, false, err
	}
	return components, true, nil
}

func componentsOf(result ref.Val, namespace string) ([]workv1alpha1.Component, error) {
	answers, err := decodeList[replicasAnswer](result)
	if err != nil {
		return nil, err
	}
	var components []workv1alpha1.Component
	names := sets.New[string]()
	for n := range answers {
		answer := &answers[n]
		replicas, err := answer.count()
		switch {
		case err != nil:
			return nil, fmt.Errorf("item %d: %w", n, err)
		case answer.Name == "":
			return nil, fmt.Errorf("item %d: it has no name", n)
		case names.Has(answer.Name):
			return nil, fmt.Errorf("item %d: there are two components %q", n, answer.Name)
		}
		names.Insert(answer.Name)
		components = append(components, workv1alpha1.Component{
			Name: answer.Name, Replicas: replicas, ReplicaRequirements: answer.requirements(namespace),
		})
	}
	// Expressions may go through maps, which have no order.
	slices.SortFunc(components, func(a, b workv1alpha1.Component) int { return cmp.Compare(a.Name, b.Name) })
	return components, nil
}

// Revise returns the object with another number of replicas; the object itself, as it
// is, when nothing says how.
func (i *Interpreter) Revise(object *unstructured.Unstructured, replicas int32) (*unstructured.Unstructured, error) {
	revised := object
	_, err := i.ask(ReplicaRevision, object, map[string]any{replicasVariable: int64(replicas)}, func(result ref.Val) (err error) {
		revised, err = merged(object, result)
		return err
	})
	if err != nil {
		return nil, err
	}
	return revised, nil
}

// Revise returns the object with another number of replicas, by an expression for
// replicaRevision that a binding recorded. The object is not changed.
func Revise(text string, object *unstructured.Unstructured, replicas int64) (*unstructured.Unstructured, error) {
	revised, err := revise(text, object, replicas)
	if err != nil {
		return nil, &Error{Rule: ReplicaRevision, Kind: object.GroupVersionKind(), Err: err}
	}
	return revised, nil
}

func revise(text string, object *unstructured.Unstructured, replicas int64) (*unstructured.Unstructured, error) {
	program, err := compile(ReplicaRevision, text)
	if err != nil {
		return nil, err
	}
	result, err := evaluate(program, object, map[string]any{replicasVariable: replicas})
	if err != nil {
		return nil, err
	}
	return merged(object, result)
}

// merged is the object with an apply configuration.
func merged(object *unstructured.Unstructured, result ref.Val) (*unstructured.Unstructured, error) {
	configuration, err := expression.AsConfiguration(result, object.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return expression.Merge(object, configuration)
}
