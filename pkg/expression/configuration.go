// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// Configuration is the type of an apply configuration.
var Configuration = types.NewObjectType(mutation.ObjectTypeName)

// errNoConfiguration is for a result that the type checker should have refused.
var errNoConfiguration = errors.New("evaluate expression: the result is no apply configuration")

// AsConfiguration returns the apply configuration that an expression returned, as
// one of the kind.
func AsConfiguration(result ref.Val, kind schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	configuration, ok := result.(*dynamic.ObjectVal)
	if !ok {
		return nil, errNoConfiguration
	}
	if err := configuration.CheckTypeNamesMatchFieldPathNames(); err != nil {
		return nil, fmt.Errorf("evaluate expression: %s", inOrder(err))
	}
	value, err := AsJSON(configuration.Value())
	if err != nil {
		return nil, fmt.Errorf("evaluate expression: %w", err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return nil, errNoConfiguration
	}
	made := &unstructured.Unstructured{Object: fields}
	made.SetGroupVersionKind(kind)
	return made, nil
}

// schemas tell how objects of native kinds are merged: which lists are sets, and
// which are keyed by what. They are large, and read when the first expression is
// evaluated.
var schemas = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

// deduced merges objects of other kinds, whose lists it takes for values.
var deduced = managedfields.NewDeducedTypeConverter()

// Converter returns how objects of a kind are merged.
func Converter(kind schema.GroupVersionKind) managedfields.TypeConverter {
	if scheme.Scheme.Recognizes(kind) {
		return schemas()
	}
	return deduced
}

// Merge returns the object with the fields of an apply configuration of its kind.
// A list of a native kind is merged as server-side apply does, any other is replaced.
// Neither argument is changed.
func Merge(object, configuration *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	converter := Converter(object.GroupVersionKind())
	base, err := converter.ObjectToTyped(object, typed.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("merge apply configuration: read object: %w", err)
	}
	change, err := converter.ObjectToTyped(configuration)
	if err != nil {
		return nil, fmt.Errorf("merge apply configuration: %w", err)
	}
	merged, err := base.Merge(change)
	if err != nil {
		return nil, fmt.Errorf("merge apply configuration: %w", err)
	}
	result, err := converter.TypedToObject(merged)
	if err != nil {
		return nil, fmt.Errorf("merge apply configuration: %w", err)
	}
	made, ok := result.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("merge apply configuration: the result is a %T", result)
	}
	return made, nil
}
