// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpret

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleet.dev/fleet/pkg/health"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/interpreter/builtin"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Answers is what customizations say about one object.
type Answers struct {
	// Object is its kind and name.
	Object string `json:"object"`
	// Auto is what auto placement does with it.
	Auto template.Auto `json:"auto"`
	// Answers of the rules that there are, none when nothing interprets the kind.
	Answers []interpreter.Report `json:"answers"`
}

// itself stands for a member where no object of a member is given.
const itself = "member"

// Answers asks all rules about all objects. What a member reports is taken from the
// observed objects of the same name; without any, the object is taken for its own in
// the one member there is.
func (in *Input) Answers(replicas int32) ([]Answers, error) {
	customizations, err := builtin.Customizations()
	if err != nil {
		return nil, err
	}
	by := interpreter.New(in.Customizations, customizations)
	var all []Answers
	for _, object := range in.Objects {
		kind := template.KindOf(object.GroupVersionKind(), object.GetNamespace() != "", true).Interpreted(object.GroupVersionKind(), by)
		all = append(all, Answers{
			Object: nameOf(object), Auto: kind.Auto, Answers: by.Reports(in.situation(object, replicas, by)),
		})
	}
	return all, nil
}

func nameOf(object *unstructured.Unstructured) string {
	kind := object.GroupVersionKind().GroupKind()
	return template.Key{Group: kind.Group, Kind: kind.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}.String()
}

func (in *Input) situation(object *unstructured.Unstructured, replicas int32, by *interpreter.Interpreter) interpreter.Situation {
	desired := object.DeepCopy()
	delete(desired.Object, "status")
	about := interpreter.Situation{Object: desired, Observed: object, Replicas: replicas}
	members := in.members(object)
	for n, name := range slices.Sorted(maps.Keys(members)) {
		observed := members[name]
		if n == 0 {
			about.Observed = observed
		}
		about.Members = append(about.Members, reported(name, observed, by))
	}
	return about
}

// members returns the object in each member that has it.
func (in *Input) members(object *unstructured.Unstructured) map[string]*unstructured.Unstructured {
	found := map[string]*unstructured.Unstructured{}
	for member, objects := range in.Observed {
		for _, observed := range objects {
			if nameOf(observed) == nameOf(object) && observed.GetAPIVersion() == object.GetAPIVersion() {
				found[member] = observed
			}
		}
	}
	if len(found) == 0 {
		found[itself] = object
	}
	return found
}

// reported is what a syncer reports about an object. What it cannot read is unknown.
func reported(member string, observed *unstructured.Unstructured, by *interpreter.Interpreter) interpreter.MemberStatus {
	status, reflected, err := by.Reflect(observed)
	if !reflected && err == nil {
		status, _ = observed.Object["status"].(map[string]any)
	}
	verdict, _ := health.Of(observed)
	switch healthy, ok, err := by.Healthy(observed); {
	case err != nil:
		verdict = health.Unknown
	case ok && healthy:
		verdict = health.Healthy
	case ok:
		verdict = health.Unhealthy
	}
	return interpreter.MemberStatus{Cluster: member, Status: status, Health: string(verdict)}
}

// Failed returns how many answers there are that nobody can use.
func Failed(all []Answers) error {
	failed := 0
	for _, about := range all {
		for _, report := range about.Answers {
			if report.Error != "" {
				failed++
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the expressions failed", failed)
	}
	return nil
}
