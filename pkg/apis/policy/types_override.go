// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/rawjson"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// OverridePolicy changes templates of its namespace on their way to some
// members.
type OverridePolicy struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec OverrideSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// OverridePolicyList is a list of OverridePolicies.
type OverridePolicyList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []OverridePolicy
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterOverridePolicy changes templates, of any namespace or of none, on their
// way to some members. Those of cluster policies are applied before those of
// namespaced ones, inside a scope by name of the policy.
type ClusterOverridePolicy struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec OverrideSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterOverridePolicyList is a list of ClusterOverridePolicies.
type ClusterOverridePolicyList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ClusterOverridePolicy
}

// OverrideSpec says which templates are changed for which members.
type OverrideSpec struct {
	ResourceSelectors []ResourceSelector
	OverrideRules     []RuleWithCluster
}

// RuleWithCluster is a set of changes for some members.
type RuleWithCluster struct {
	TargetCluster *ClusterAffinity
	Overriders    Overriders
}

// Overriders are changes to a template. They are applied in the order of the
// fields, after the number of replicas is set.
type Overriders struct {
	ImageOverrider       []ImageOverrider
	CommandOverrider     []CommandArgsOverrider
	ArgsOverrider        []CommandArgsOverrider
	LabelsOverrider      []LabelAnnotationOverrider
	AnnotationsOverrider []LabelAnnotationOverrider
	FieldOverrider       []FieldOverrider
	Plaintext            []PlaintextOverrider
	Expression           string
}

// OverriderOperator says how a value is changed.
type OverriderOperator string

const (
	// OverriderOpAdd adds the value.
	OverriderOpAdd OverriderOperator = "add"
	// OverriderOpRemove removes the value.
	OverriderOpRemove OverriderOperator = "remove"
	// OverriderOpReplace replaces the value.
	OverriderOpReplace OverriderOperator = "replace"
)

// ImageComponent is a part of an image name.
type ImageComponent string

const (
	// Registry is the host of the image name, with its port.
	Registry ImageComponent = "Registry"
	// Repository is the path of the image name.
	Repository ImageComponent = "Repository"
	// Tag is the tag or the digest of the image name.
	Tag ImageComponent = "Tag"
)

// ImageOverrider changes one part of image names: of
// registry.example.com:5000/team/app:v1 the parts are registry.example.com:5000,
// team/app and v1.
type ImageOverrider struct {
	Predicate *ImagePredicate
	Component ImageComponent
	Operator  OverriderOperator
	Value     string
}

// ImagePredicate picks an image field.
type ImagePredicate struct {
	Path string
}

// CommandArgsOverrider changes the command or the arguments of a container.
type CommandArgsOverrider struct {
	ContainerName string
	Operator      OverriderOperator
	Value         []string
}

// LabelAnnotationOverrider changes labels or annotations.
type LabelAnnotationOverrider struct {
	Operator OverriderOperator
	Value    map[string]string
}

// FieldOverrider changes JSON or YAML text inside a string field. One of json
// and yaml is set.
type FieldOverrider struct {
	FieldPath string
	JSON      []FieldPatchOperation
	YAML      []FieldPatchOperation
}

// FieldPatchOperation changes one value inside structured text.
type FieldPatchOperation struct {
	SubPath  string
	Operator OverriderOperator
	Value    rawjson.Value
}

// PlaintextOverrider changes one field.
type PlaintextOverrider struct {
	Path     string
	Operator OverriderOperator
	Value    rawjson.Value
}
