// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"fmt"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Retain returns the desired object with what it keeps of the observed one; the
// desired one itself, as it is, when nothing says so.
func (i *Interpreter) Retain(desired, observed *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	retained := desired
	_, err := i.ask(Retention, desired, map[string]any{observedVariable: observed.Object}, func(result ref.Val) (err error) {
		retained, err = merged(desired, result)
		return err
	})
	if err != nil {
		return nil, err
	}
	return retained, nil
}

// Healthy reports whether an object in a member does what it should.
func (i *Interpreter) Healthy(observed *unstructured.Unstructured) (healthy, ok bool, err error) {
	ok, err = i.ask(HealthInterpretation, observed, nil, func(result ref.Val) error {
		verdict, isBool := result.(types.Bool)
		if !isBool {
			return fmt.Errorf("read answer: it is a %s, not a bool", result.Type())
		}
		healthy = bool(verdict)
		return nil
	})
	return healthy, ok, err
}

// Reflect returns what the fleet is told of the status of an object in a member.
func (i *Interpreter) Reflect(observed *unstructured.Unstructured) (status map[string]any, ok bool, err error) {
	ok, err = i.ask(StatusReflection, observed, nil, func(result ref.Val) error {
		status, err = fieldsOf(result)
		return err
	})
	return status, ok, err
}

// MemberStatus is what one member reported on an object.
type MemberStatus struct {
	// Cluster is the name of the member.
	Cluster string
	// Status it reported; nil when it reported none.
	Status map[string]any
	// Health is Healthy, Unhealthy or Unknown.
	Health string
}

// Aggregate returns the status of a template that follows from those in members.
func (i *Interpreter) Aggregate(template *unstructured.Unstructured, members []MemberStatus) (status map[string]any, ok bool, err error) {
	ok, err = i.ask(StatusAggregation, template, map[string]any{itemsVariable: itemsOf(members)}, func(result ref.Val) error {
		status, err = fieldsOf(result)
		return err
	})
	return status, ok, err
}

// itemsOf is the value of items.
func itemsOf(members []MemberStatus) []any {
	items := make([]any, len(members))
	for n, member := range members {
		reported := member.Status
		if reported == nil {
			reported = map[string]any{}
		}
		items[n] = map[string]any{"cluster": member.Cluster, "status": reported, "health": member.Health}
	}
	return items
}
