// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// lacking returns the path of the first field of want that have does not have, empty
// when it has all. "*" stands for anything that is not empty. Lists are compared item
// by item, so that defaults of another release are no difference.
func lacking(path string, want, have any) string {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := have.(map[string]any)
		if !ok && len(want) > 0 {
			return path
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if missing := lacking(path+"."+name, want[name], fields[name]); missing != "" {
				return missing
			}
		}
		return ""
	case []any:
		items, _ := have.([]any)
		if len(items) != len(want) {
			return path
		}
		for i := range want {
			if missing := lacking(fmt.Sprintf("%s[%d]", path, i), want[i], items[i]); missing != "" {
				return missing
			}
		}
		return ""
	case nil:
		return ""
	default:
		if want == "*" && !isEmpty(have) || reflect.DeepEqual(plain(want), plain(have)) {
			return ""
		}
		return path
	}
}

func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	default:
		return false
	}
}

// plain makes numbers that are the same equal, however they were decoded.
func plain(value any) any {
	switch value := value.(type) {
	case int64:
		return float64(value)
	case int:
		return float64(value)
	default:
		return value
	}
}

// content is what an object is about: all but what every cluster says of it.
func content(object map[string]any) map[string]any {
	out := maps.Clone(object)
	for _, field := range []string{"apiVersion", "kind", "metadata", "status"} {
		delete(out, field)
	}
	if metadata, ok := object["metadata"].(map[string]any); ok {
		kept := map[string]any{}
		for _, field := range []string{"labels", "annotations"} {
			if value, ok := metadata[field]; ok {
				kept[field] = value
			}
		}
		out["metadata"] = kept
	}
	return out
}

// merged applies a merge patch (RFC 7396).
func merged(object, patch map[string]any) map[string]any {
	out := runtime.DeepCopyJSON(normal(object))
	for name, value := range normal(patch) {
		inner, isMap := value.(map[string]any)
		before, _ := out[name].(map[string]any)
		switch {
		case value == nil:
			delete(out, name)
		case isMap:
			out[name] = merged(before, inner)
		default:
			out[name] = value
		}
	}
	return out
}

// normal returns a copy with the types of decoded JSON.
func normal(object map[string]any) map[string]any {
	if object == nil {
		return map[string]any{}
	}
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err) // it was decoded from YAML
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}
