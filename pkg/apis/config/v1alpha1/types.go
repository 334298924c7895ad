// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceInterpreterCustomization teaches the fleet to read one kind it does
// not know: how many replicas it asks for, whether it is healthy, what it
// depends on. Each question is a CEL expression, checked when the object is
// written and bounded in cost when it runs. Native kinds need none.
type ResourceInterpreterCustomization struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says for which kind and how.
	Spec ResourceInterpreterCustomizationSpec `json:"spec"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceInterpreterCustomizationList is a list of
// ResourceInterpreterCustomizations.
type ResourceInterpreterCustomizationList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the ResourceInterpreterCustomizations.
	Items []ResourceInterpreterCustomization `json:"items"`
}

// ResourceInterpreterCustomizationSpec says how one kind is read.
type ResourceInterpreterCustomizationSpec struct {
	// target is the kind. When several objects name the same target, the first by
	// name that answers a question wins.
	Target CustomizationTarget `json:"target"`
	// customizations are the answers; what is left out is answered by the built-in
	// customization of the kind, if there is one, or else by the rule for all kinds, as is
	// an answer of null. At least one is needed. Of native kinds the fleet knows all but
	// retention, statusReflection and healthInterpretation.
	Customizations CustomizationRules `json:"customizations"`
}

// CustomizationTarget names a kind.
type CustomizationTarget struct {
	// apiVersion of the kind, for example example.com/v1. Immutable.
	APIVersion string `json:"apiVersion"`
	// kind, for example Database. Immutable.
	Kind string `json:"kind"`
}

// CustomizationRules are the questions the fleet asks about an object of the
// kind. In each expression object is the template; other variables are named
// with each rule.
type CustomizationRules struct {
	// retention returns an apply configuration, Object{...}, of the fields that keep
	// the value they have in the member; of lists, the whole. Variables: object
	// (desired), observed (in the member, without its status).
	// +optional
	Retention *CustomizationRule `json:"retention,omitempty"`

	// replicaResource returns Replicas{replicas: <int>, requirements: Requirements},
	// where requirements is shaped as spec.replicaRequirements of a binding;
	// podRequirements(<pod template>) returns some. Variable: object.
	// +optional
	ReplicaResource *CustomizationRule `json:"replicaResource,omitempty"`

	// componentResource returns a list of Component{name: <string>, replicas: <int>,
	// requirements: Requirements}, for kinds made of several sorts of Pods. Variable:
	// object.
	// +optional
	ComponentResource *CustomizationRule `json:"componentResource,omitempty"`

	// replicaRevision returns an apply configuration, Object{...}, that sets the number
	// of replicas. Only kinds that have it can be divided. Variables: object, replicas
	// (int).
	// +optional
	ReplicaRevision *CustomizationRule `json:"replicaRevision,omitempty"`

	// statusReflection returns the part of the member's status that is reported
	// to the fleet, as Object.status{...} or a map. Variable: object (in the member).
	// +optional
	StatusReflection *CustomizationRule `json:"statusReflection,omitempty"`

	// statusAggregation returns the status of the template, as Object.status{...} or a
	// map. Variables: object, items (what the members reported, each with cluster,
	// status and health).
	// +optional
	StatusAggregation *CustomizationRule `json:"statusAggregation,omitempty"`

	// healthInterpretation returns whether the object is healthy, as a boolean; null
	// when nothing can be said. Variable: object (in the member).
	// +optional
	HealthInterpretation *CustomizationRule `json:"healthInterpretation,omitempty"`

	// dependencyInterpretation returns a list of Dependency{apiVersion, kind, namespace,
	// name} of the objects that have to be where this one is; instead of a name there may
	// be a labelSelector. podDependencies(<pod template>, <namespace>) returns what a Pod
	// template refers to. Variable: object.
	// +optional
	DependencyInterpretation *CustomizationRule `json:"dependencyInterpretation,omitempty"`
}

// CustomizationRule is the answer to one question.
type CustomizationRule struct {
	// expression is the answer in CEL. At most 10240 bytes.
	Expression string `json:"expression"`
}
