// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
)

// schemas tell how objects of native kinds are merged: which lists are sets, and
// which are keyed by what. They are large, and read when the first expression is
// evaluated.
var schemas = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

// deduced merges objects of other kinds, whose lists it takes for values.
var deduced = managedfields.NewDeducedTypeConverter()

// applyExpression merges what an expression returns into the object, in the manner
// of a MutatingAdmissionPolicy.
func applyExpression(object map[string]any, text string, facts *workv1alpha1.ClusterFacts) (map[string]any, error) {
	compiled, err := expression.CompileOverride(text)
	if err != nil {
		return nil, err
	}
	configuration, err := compiled.Evaluate(object, facts)
	if err != nil {
		return nil, err
	}
	original := &unstructured.Unstructured{Object: object}
	merged, err := patch.ApplyStructuredMergeDiff(converterFor(original), original, configuration)
	if err != nil {
		return nil, err
	}
	result, ok := merged.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("merge apply configuration: the result is a %T", merged)
	}
	return result.Object, nil
}

func converterFor(object *unstructured.Unstructured) managedfields.TypeConverter {
	if scheme.Scheme.Recognizes(object.GroupVersionKind()) {
		return schemas()
	}
	return deduced
}

// factsFor returns what a binding holds about a member; one that was made by hand
// may hold nothing.
func factsFor(override *workv1alpha1.ResolvedOverride, cluster string) *workv1alpha1.ClusterFacts {
	for i := range override.Facts {
		if override.Facts[i].Name == cluster {
			return &override.Facts[i]
		}
	}
	return &workv1alpha1.ClusterFacts{Name: cluster}
}
