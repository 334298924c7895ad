// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceInterpreterCustomization teaches the fleet to read one kind it does
// not know: how many replicas it asks for, whether it is healthy, what it
// depends on. Each question is a CEL expression, checked when the object is
// written and bounded in cost when it runs. Native kinds need none.
type ResourceInterpreterCustomization struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec ResourceInterpreterCustomizationSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceInterpreterCustomizationList is a list of
// ResourceInterpreterCustomizations.
type ResourceInterpreterCustomizationList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ResourceInterpreterCustomization
}

// ResourceInterpreterCustomizationSpec says how one kind is read.
type ResourceInterpreterCustomizationSpec struct {
	Target         CustomizationTarget
	Customizations CustomizationRules
}

// CustomizationTarget names a kind.
type CustomizationTarget struct {
	APIVersion string
	Kind       string
}

// CustomizationRules are the questions the fleet asks about an object of the
// kind. In each expression object is the template; other variables are named
// with each rule.
type CustomizationRules struct {
	Retention                *CustomizationRule
	ReplicaResource          *CustomizationRule
	ComponentResource        *CustomizationRule
	ReplicaRevision          *CustomizationRule
	StatusReflection         *CustomizationRule
	StatusAggregation        *CustomizationRule
	HealthInterpretation     *CustomizationRule
	DependencyInterpretation *CustomizationRule
}

// CustomizationRule is the answer to one question.
type CustomizationRule struct {
	Expression string
}
