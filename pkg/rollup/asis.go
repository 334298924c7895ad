// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// asIs is the rule of kinds without a row: the status of the only member, or the
// one that all members have; otherwise the template's status stays. When something
// happened last is never the same in two members, so it is that of the first. Observed
// generations are brought from the member's numbering to the template's.
func asIs(template *unstructured.Unstructured, members []Member, _ metav1.Time) (map[string]any, error) {
	observed := observedGeneration(template, members)
	var common map[string]any
	var timeless any
	for i, member := range members {
		status := renumbered(member.Status, observed)
		if len(status) == 0 || i > 0 && !equality.Semantic.DeepEqual(timeless, withoutTimes(status)) {
			common = nil
			break
		}
		if i == 0 && len(members) > 1 {
			timeless = withoutTimes(status)
		}
		if i == 0 {
			common = status
		}
	}
	if common == nil {
		old, _, err := unstructured.NestedMap(template.Object, "status")
		return old, err
	}
	return common, nil
}

// withoutTimes returns a copy of a value without the fields that say when something
// happened last: lastTransitionTime of conditions, and others named like that.
func withoutTimes(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for name, field := range value {
			if !strings.HasPrefix(name, "last") || !strings.HasSuffix(name, "Time") {
				out[name] = withoutTimes(field)
			}
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i := range value {
			out[i] = withoutTimes(value[i])
		}
		return out
	default:
		return value
	}
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
