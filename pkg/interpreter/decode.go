// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"fmt"

	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/expression"
)

// fieldsOf reads a map.
func fieldsOf(result ref.Val) (map[string]any, error) {
	value, err := expression.AsJSON(result)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("read answer: it is a %s, not a map", result.Type())
	}
	return fields, nil
}

// decode reads a map into a T, all of whose fields are known.
func decode[T any](result ref.Val) (T, error) {
	fields, err := fieldsOf(result)
	if err != nil {
		var none T
		return none, err
	}
	return decodeFields[T](fields)
}

func decodeFields[T any](fields map[string]any) (T, error) {
	var read T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(fields, &read, true); err != nil {
		return read, fmt.Errorf("read answer: %w", err)
	}
	return read, nil
}

// decodeList reads a list of maps.
func decodeList[T any](result ref.Val) ([]T, error) {
	value, err := expression.AsJSON(result)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	items, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("read answer: it is a %s, not a list", result.Type())
	}
	list := make([]T, len(items))
	for n, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("read answer: item %d is no map", n)
		}
		if list[n], err = decodeFields[T](fields); err != nil {
			return nil, fmt.Errorf("item %d: %w", n, err)
		}
	}
	return list, nil
}
