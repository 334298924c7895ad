// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
)

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
	merged, err := patch.ApplyStructuredMergeDiff(expression.Converter(original.GroupVersionKind()), original, configuration)
	if err != nil {
		return nil, err
	}
	result, ok := merged.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("merge apply configuration: the result is a %T", merged)
	}
	return result.Object, nil
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
