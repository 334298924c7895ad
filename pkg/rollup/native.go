// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"errors"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// reported is a member with its status in the type of its kind.
type reported[S any] struct {
	Member
	// status is the zero value while none was reported.
	status S
	// present says whether a status was reported.
	present bool
	// current says whether status reflects the generation of the template.
	current bool
}

// input is what a fold sees.
type input[T, S any] struct {
	// template has its present status, but no Pod template: none is needed, and
	// it is by far the most of it.
	template *T
	members  []reported[S]
	// generation is the template's. observedGeneration is what the status may
	// claim, and observedBefore what it claims now.
	generation, observedGeneration, observedBefore int64
	now                                            metav1.Time
}

// observed returns the generation that the status of a kind with replicas may
// claim: no new one while the members are asked for another number than the
// template says.
func (in input[T, S]) observed(replicas int32) int64 {
	if outdated(replicas, in.members) {
		return in.observedBefore
	}
	return in.observedGeneration
}

// native makes a rule of a fold over the types of a kind: T is the object, S its
// status.
func native[T, S any](fold func(input[T, S]) S) rule {
	return func(template *unstructured.Unstructured, members []Member, now metav1.Time) (map[string]any, error) {
		in := input[T, S]{
			template:       new(T),
			members:        make([]reported[S], 0, len(members)),
			generation:     template.GetGeneration(),
			observedBefore: observedBefore(template),
			now:            now,
		}
		in.observedGeneration = observedGeneration(template, members)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(withoutPodTemplate(template.Object), in.template); err != nil {
			return nil, fmt.Errorf("read %s %q: %w", template.GetKind(), template.GetName(), err)
		}
		var unreadable []error
		for _, member := range members {
			one, err := typed[S](member, template.GetGeneration())
			if err != nil {
				unreadable = append(unreadable, err)
			}
			in.members = append(in.members, one)
		}
		status := fold(in)
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
		if err != nil {
			return nil, fmt.Errorf("write status of %s %q: %w", template.GetKind(), template.GetName(), err)
		}
		return fields, errors.Join(unreadable...)
	}
}

// typed reads the status of one member; after an error it is as if not reported.
func typed[S any](member Member, generation int64) (reported[S], error) {
	one := reported[S]{Member: member}
	if member.Status == nil {
		return one, nil
	}
	var status S
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(member.Status, &status); err != nil {
		return one, &MemberError{Cluster: member.Cluster, Err: err}
	}
	one.status, one.present, one.current = status, true, member.TemplateGeneration >= generation
	return one, nil
}

// withoutPodTemplate returns a shallow copy that lacks spec.template and
// spec.jobTemplate.
func withoutPodTemplate(object map[string]any) map[string]any {
	spec, ok := object["spec"].(map[string]any)
	if !ok {
		return object
	}
	spec = maps.Clone(spec)
	delete(spec, "template")
	delete(spec, "jobTemplate")
	object = maps.Clone(object)
	object["spec"] = spec
	return object
}

// all says whether there are members and a condition holds for each.
func all[S any](members []reported[S], holds func(reported[S]) bool) bool {
	for _, member := range members {
		if !holds(member) {
			return false
		}
	}
	return len(members) > 0
}
