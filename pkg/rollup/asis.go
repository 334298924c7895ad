// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// asIs is the rule of kinds without a row: the status of the only member, or the
// one that all members have; otherwise the template's status stays. Observed
// generations in it are brought from the member's numbering to the template's.
func asIs(template *unstructured.Unstructured, members []Member, _ metav1.Time) (map[string]any, error) {
	observed := observedGeneration(template, members)
	var common map[string]any
	for i, member := range members {
		status := renumbered(member.Status, observed)
		if len(status) == 0 || i > 0 && !equality.Semantic.DeepEqual(common, status) {
			common = nil
			break
		}
		common = status
	}
	if common == nil {
		old, _, err := unstructured.NestedMap(template.Object, "status")
		return old, err
	}
	return common, nil
}

// renumbered returns a copy of a member's status with the generations of the
// member's object replaced: the one it observed becomes observed, and conditions
// about an earlier one become one behind.
func renumbered(status map[string]any, observed int64) map[string]any {
	if len(status) == 0 {
		return nil
	}
	status = runtime.DeepCopyJSON(status)
	conditions, _ := status["conditions"].([]any)
	newest, top := generationOf(status["observedGeneration"])
	for _, condition := range conditions {
		if fields, ok := condition.(map[string]any); ok {
			if generation, ok := generationOf(fields["observedGeneration"]); ok {
				newest = max(newest, generation)
			}
		}
	}
	for _, condition := range conditions {
		fields, ok := condition.(map[string]any)
		if !ok {
			continue
		}
		if generation, ok := generationOf(fields["observedGeneration"]); ok {
			fields["observedGeneration"] = like(fields["observedGeneration"], renumber(generation, newest, observed))
		}
	}
	if generation, _ := generationOf(status["observedGeneration"]); top {
		status["observedGeneration"] = like(status["observedGeneration"], renumber(generation, newest, observed))
	}
	return status
}

// generationOf reads a generation. Some projects write it as a string.
func generationOf(value any) (int64, bool) {
	switch value := value.(type) {
	case int64:
		return value, true
	case string:
		generation, err := strconv.ParseInt(value, 10, 64)
		return generation, err == nil
	default:
		return 0, false
	}
}

// like writes a generation as the value before it was written.
func like(before any, generation int64) any {
	if _, ok := before.(string); ok {
		return strconv.FormatInt(generation, 10)
	}
	return generation
}

func renumber(generation, newest, observed int64) int64 {
	if generation >= newest {
		return observed
	}
	return max(0, observed-1)
}
