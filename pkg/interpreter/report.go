// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleet.dev/fleet/pkg/expression"
)

// Report is what one rule says about an object, for people.
type Report struct {
	// Rule that was asked.
	Rule Rule `json:"rule"`
	// Customization that answers it.
	Customization string `json:"customization"`
	// Answer as the expression returned it; null leaves the object to the rule for all
	// kinds.
	Answer any `json:"answer"`
	// Error says why there is no answer, or what is wrong with it.
	Error string `json:"error,omitempty"`
}

// Situation is what rules are asked about.
type Situation struct {
	// Object is the template.
	Object *unstructured.Unstructured
	// Observed is the object in a member.
	Observed *unstructured.Unstructured
	// Replicas to give the object.
	Replicas int32
	// Members are what they reported.
	Members []MemberStatus
}

// Reports returns what each rule that has an answer says.
func (i *Interpreter) Reports(about Situation) []Report {
	questions := []struct {
		rule      Rule
		object    *unstructured.Unstructured
		variables map[string]any
		check     func() error
	}{
		{ReplicaResource, about.Object, nil, func() error { _, _, _, err := i.Replicas(about.Object); return err }},
		{ComponentResource, about.Object, nil, func() error { _, _, err := i.Components(about.Object); return err }},
		{
			ReplicaRevision, about.Object,
			map[string]any{replicasVariable: int64(about.Replicas)},
			func() error { _, err := i.Revise(about.Object, about.Replicas); return err },
		},
		{DependencyInterpretation, about.Object, nil, func() error { _, _, err := i.Dependencies(about.Object); return err }},
		{
			Retention, about.Object,
			map[string]any{observedVariable: about.Observed.Object},
			func() error { _, err := i.Retain(about.Object, about.Observed); return err },
		},
		{HealthInterpretation, about.Observed, nil, func() error { _, _, err := i.Healthy(about.Observed); return err }},
		{StatusReflection, about.Observed, nil, func() error { _, _, err := i.Reflect(about.Observed); return err }},
		{
			StatusAggregation, about.Object,
			map[string]any{itemsVariable: itemsOf(about.Members)},
			func() error { _, _, err := i.Aggregate(about.Object, about.Members); return err },
		},
	}
	reports := []Report{}
	for _, question := range questions {
		answer := i.answer(question.object.GroupVersionKind(), question.rule)
		if answer == nil {
			continue
		}
		report := Report{Rule: question.rule, Customization: answer.customization}
		if result, err := answer.evaluate(question.object, question.variables); err == nil {
			// What is no JSON is told by the check.
			report.Answer, _ = expression.AsJSON(result)
		}
		if err := question.check(); err != nil {
			report.Error = err.Error()
		}
		reports = append(reports, report)
	}
	return reports
}
