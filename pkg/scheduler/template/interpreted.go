// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/interpreter"
)

// Rules are the questions that placement asks about custom resources.
var Rules = []interpreter.Rule{
	interpreter.ReplicaResource, interpreter.ReplicaRevision, interpreter.ComponentResource, interpreter.DependencyInterpretation,
}

// Interpreted returns the kind, which is a custom one, with what customizations say of
// it. A kind that runs Pods is divided when they also say how; otherwise nothing tells
// that it may run twice, and it runs once.
func (k Kind) Interpreted(kind schema.GroupVersionKind, by *interpreter.Interpreter) Kind {
	if !by.Answers(kind, Rules...) {
		return k
	}
	var texts []string
	for _, rule := range Rules {
		text, _ := by.Expression(kind, rule)
		texts = append(texts, fmt.Sprintf("%s: %q", rule, text))
	}
	k.Rules = strings.Join(texts, ", ")
	k.ReplicaRevision, _ = by.Expression(kind, interpreter.ReplicaRevision)
	if by.Answers(kind, interpreter.ReplicaResource, interpreter.ComponentResource) {
		k.Runs = true
		k.Auto = AutoOnce
		if k.ReplicaRevision != "" {
			k.Auto = AutoDivided
		}
	}
	k.Read = reader(func(object *unstructured.Unstructured) Traits { return readInterpreted(object, by) })
	return k
}

// readInterpreted reads an object by the customizations of its kind. What one of them
// fails on is left out and told.
func readInterpreted(object *unstructured.Unstructured, by *interpreter.Interpreter) Traits {
	workload, notWorkload := workloadOf(object, by)
	links, notLinks := dependenciesOf(object, by)
	traits := Traits{Workload: workload, Links: links}
	if err := errors.Join(notWorkload, notLinks); err != nil {
		traits.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return traits
}

// workloadOf returns what an object runs. Who counts its replicas divides them; who
// has several sorts of Pods has them in one member together.
func workloadOf(object *unstructured.Unstructured, by *interpreter.Interpreter) (*Workload, error) {
	replicas, requirements, ok, err := by.Replicas(object)
	if err != nil {
		return nil, err
	}
	if ok {
		divisible := by.Answers(object.GroupVersionKind(), interpreter.ReplicaRevision)
		return &Workload{Pods: replicas, Replicated: divisible, Divisible: divisible, Requirements: requirements}, nil
	}
	components, ok, err := by.Components(object)
	if err != nil || !ok {
		return nil, err
	}
	return &Workload{Components: components}, nil
}

// dependenciesOf returns what an object needs.
func dependenciesOf(object *unstructured.Unstructured, by *interpreter.Interpreter) (*Links, error) {
	dependencies, ok, err := by.Dependencies(object)
	if err != nil || !ok {
		return nil, err
	}
	var links Links
	for i := range dependencies {
		dependency := &dependencies[i]
		kind := schema.FromAPIVersionAndKind(dependency.APIVersion, dependency.Kind).GroupKind()
		if dependency.LabelSelector == nil {
			links.Needs = append(links.Needs, Key{Group: kind.Group, Kind: kind.Kind, Namespace: dependency.Namespace, Name: dependency.Name})
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(dependency.LabelSelector)
		if err != nil {
			return nil, fmt.Errorf("read dependency on %s: %w", kind, err)
		}
		links.Matching = append(links.Matching, Match{Kind: kind, Namespace: dependency.Namespace, Selector: selector})
	}
	return linksOf(links), nil
}
