// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// Field labels of bindings and works, beside metadata.name and
// metadata.namespace.
const (
	// BindingFieldKind selects bindings by spec.resource.kind.
	BindingFieldKind = "spec.resource.kind"
	// BindingFieldName selects bindings by spec.resource.name.
	BindingFieldName = "spec.resource.name"
	// BindingFieldSchedulerName selects bindings by spec.schedulerName.
	BindingFieldSchedulerName = "spec.schedulerName"
	// WorkFieldKind selects works by spec.template.kind.
	WorkFieldKind = "spec.template.kind"
	// WorkFieldNamespace selects works by spec.template.namespace.
	WorkFieldNamespace = "spec.template.namespace"
	// WorkFieldName selects works by spec.template.name.
	WorkFieldName = "spec.template.name"
)

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	binding := []string{"metadata.name", "metadata.namespace", BindingFieldKind, BindingFieldName, BindingFieldSchedulerName}
	supported := map[string][]string{
		"ResourceBinding":        binding,
		"ClusterResourceBinding": binding,
		"Work":                   {"metadata.name", "metadata.namespace", WorkFieldKind, WorkFieldNamespace, WorkFieldName},
	}
	for kind, labels := range supported {
		if err := scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind(kind), fieldLabels(kind, labels)); err != nil {
			return fmt.Errorf("add field labels of %s: %w", kind, err)
		}
	}
	return nil
}

func fieldLabels(kind string, supported []string) runtime.FieldLabelConversionFunc {
	return func(label, value string) (string, string, error) {
		if !slices.Contains(supported, label) {
			return "", "", fmt.Errorf("field label %q is not supported for %s", label, kind)
		}
		return label, value, nil
	}
}
