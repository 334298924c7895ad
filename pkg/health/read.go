// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	conditionTrue  = "True"
	conditionFalse = "False"
)

// condition is what health reads of one status condition.
type condition struct {
	status, reason, message string
}

// describe returns the condition's own words, or fallback when it has none.
func (c condition) describe(fallback string) string {
	switch {
	case c.message != "":
		return c.message
	case c.reason != "":
		return c.reason
	default:
		return fallback
	}
}

// conditionOf returns the condition of one type; malformed conditions are as if
// absent.
func conditionOf(obj *unstructured.Unstructured, conditionType string) (condition, bool) {
	list, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "status", "conditions")
	items, _ := list.([]any)
	for _, item := range items {
		fields, ok := item.(map[string]any)
		if !ok || fields["type"] != conditionType {
			continue
		}
		status, _ := fields["status"].(string)
		reason, _ := fields["reason"].(string)
		message, _ := fields["message"].(string)
		return condition{status: status, reason: reason, message: message}, true
	}
	return condition{}, false
}

// integer returns the number at a path. JSON decoders yield int64 or float64.
func integer(obj *unstructured.Unstructured, path ...string) (int64, bool) {
	value, found, err := unstructured.NestedFieldNoCopy(obj.Object, path...)
	if err != nil || !found {
		return 0, false
	}
	switch number := value.(type) {
	case int64:
		return number, true
	case float64:
		return int64(number), true
	default:
		return 0, false
	}
}

// integerOr returns the number at a path, or fallback when there is none.
func integerOr(obj *unstructured.Unstructured, fallback int64, path ...string) int64 {
	if number, ok := integer(obj, path...); ok {
		return number
	}
	return fallback
}

// text returns the string at a path, or the empty string.
func text(obj *unstructured.Unstructured, path ...string) string {
	value, _, _ := unstructured.NestedString(obj.Object, path...)
	return value
}
