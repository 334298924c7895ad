// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"encoding/base64"
	"fmt"
	"math"
	"time"

	"github.com/google/cel-go/common/types/ref"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/api/resource"
)

// AsJSON turns a value of CEL into one of JSON, as unstructured objects have it. It
// fails on what JSON does not know.
func AsJSON(value any) (any, error) {
	switch v := value.(type) {
	case nil, structpb.NullValue:
		return nil, nil
	case bool, string, int64:
		return v, nil
	case uint64:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("%d is too large a number", v)
		}
		return int64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is no number of JSON", v)
		}
		return v, nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339), nil
	case time.Duration:
		return v.String(), nil
	case *resource.Quantity:
		return v.String(), nil
	case ref.Val:
		return AsJSON(v.Value())
	case []ref.Val:
		return asList(v)
	case []any:
		return asList(v)
	case []string:
		return asList(v)
	case map[string]any:
		return asMap(v, func(key string) (string, bool) { return key, true })
	case map[string]string:
		return asMap(v, func(key string) (string, bool) { return key, true })
	case map[ref.Val]ref.Val:
		return asMap(v, func(key ref.Val) (string, bool) {
			text, ok := key.Value().(string)
			return text, ok
		})
	default:
		return nil, fmt.Errorf("a value of type %T is no JSON", value)
	}
}

func asList[T any](from []T) (any, error) {
	out := make([]any, 0, len(from))
	for _, item := range from {
		converted, err := AsJSON(item)
		if err != nil {
			return nil, err
		}
		out = append(out, converted)
	}
	return out, nil
}

func asMap[K comparable, V any](from map[K]V, text func(K) (string, bool)) (any, error) {
	out := make(map[string]any, len(from))
	for key, item := range from {
		name, ok := text(key)
		if !ok {
			return nil, fmt.Errorf("a key of type %T is no string", key)
		}
		converted, err := AsJSON(item)
		if err != nil {
			return nil, err
		}
		out[name] = converted
	}
	return out, nil
}
