// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/rawjson"
)

// +genclient
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// OverridePolicy changes templates of its namespace on their way to some
// members.
type OverridePolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is changed where.
	Spec OverrideSpec `json:"spec"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// OverridePolicyList is a list of OverridePolicies.
type OverridePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the OverridePolicies.
	Items []OverridePolicy `json:"items"`
}

// +genclient
// +genclient:nonNamespaced
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterOverridePolicy changes templates, of any namespace or of none, on their
// way to some members. Those of cluster policies are applied before those of
// namespaced ones, inside a scope by name of the policy.
type ClusterOverridePolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is changed where.
	Spec OverrideSpec `json:"spec"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterOverridePolicyList is a list of ClusterOverridePolicies.
type ClusterOverridePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the ClusterOverridePolicies.
	Items []ClusterOverridePolicy `json:"items"`
}

// OverrideSpec says which templates are changed for which members.
type OverrideSpec struct {
	// resourceSelectors pick the templates; a template is picked when one of
	// them matches. Empty picks everything in the scope of the policy.
	// +optional
	// +listType=atomic
	ResourceSelectors []ResourceSelector `json:"resourceSelectors,omitempty"`
	// overrideRules say what is changed for which members. They are applied in
	// this order. At least one.
	// +listType=atomic
	OverrideRules []RuleWithCluster `json:"overrideRules"`
}

// RuleWithCluster is a set of changes for some members.
type RuleWithCluster struct {
	// targetCluster selects the members. Nil selects all.
	// +optional
	TargetCluster *ClusterAffinity `json:"targetCluster,omitempty"`
	// overriders are the changes. At least one.
	Overriders Overriders `json:"overriders"`
}

// Overriders are changes to a template. They are applied in the order of the
// fields, after the number of replicas is set.
type Overriders struct {
	// imageOverrider changes parts of image names.
	// +optional
	// +listType=atomic
	ImageOverrider []ImageOverrider `json:"imageOverrider,omitempty"`
	// commandOverrider adds to or removes from the command of a container.
	// +optional
	// +listType=atomic
	CommandOverrider []CommandArgsOverrider `json:"commandOverrider,omitempty"`
	// argsOverrider adds to or removes from the arguments of a container.
	// +optional
	// +listType=atomic
	ArgsOverrider []CommandArgsOverrider `json:"argsOverrider,omitempty"`
	// labelsOverrider changes labels of the template.
	// +optional
	// +listType=atomic
	LabelsOverrider []LabelAnnotationOverrider `json:"labelsOverrider,omitempty"`
	// annotationsOverrider changes annotations of the template.
	// +optional
	// +listType=atomic
	AnnotationsOverrider []LabelAnnotationOverrider `json:"annotationsOverrider,omitempty"`
	// fieldOverrider changes JSON or YAML text inside a string field, for
	// example in the data of a ConfigMap.
	// +optional
	// +listType=atomic
	FieldOverrider []FieldOverrider `json:"fieldOverrider,omitempty"`
	// plaintext changes any field, in the manner of a JSON patch.
	// +optional
	// +listType=atomic
	Plaintext []PlaintextOverrider `json:"plaintext,omitempty"`
	// expression changes any field in CEL; it returns an apply configuration that
	// is merged into the template, as that of a MutatingAdmissionPolicy is, for
	// example Object{spec: Object.spec{paused: true}}. Variables: object (the
	// template), cluster (of the Cluster object metadata.name and labels,
	// spec.provider, region and zones, and status.kubernetesVersion). At most 10240
	// bytes.
	// +optional
	Expression string `json:"expression,omitempty"`
}

// OverriderOperator says how a value is changed.
// +enum
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
// +enum
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
	// predicate picks one image field. Nil picks the images of all containers
	// and init containers of Pods and of kinds with a Pod template.
	// +optional
	Predicate *ImagePredicate `json:"predicate,omitempty"`
	// component is the part: Registry, Repository or Tag.
	Component ImageComponent `json:"component"`
	// operator is add (append to the part), remove (the part) or replace.
	Operator OverriderOperator `json:"operator"`
	// value to append or to put. Required with add and replace, ignored with
	// remove.
	// +optional
	Value string `json:"value,omitempty"`
}

// ImagePredicate picks an image field.
type ImagePredicate struct {
	// path of the field as a JSON pointer, for example
	// /spec/template/spec/containers/0/image.
	Path string `json:"path"`
}

// CommandArgsOverrider changes the command or the arguments of a container.
type CommandArgsOverrider struct {
	// containerName is the name of the container.
	ContainerName string `json:"containerName"`
	// operator is add (append the values) or remove (each value that is there).
	Operator OverriderOperator `json:"operator"`
	// value are the strings. None changes nothing.
	// +optional
	// +listType=atomic
	Value []string `json:"value,omitempty"`
}

// LabelAnnotationOverrider changes labels or annotations.
type LabelAnnotationOverrider struct {
	// operator is add (set the keys), replace (set those that are there) or
	// remove (the keys, whatever their value).
	Operator OverriderOperator `json:"operator"`
	// value are the keys with their values. None changes nothing.
	// +optional
	Value map[string]string `json:"value,omitempty"`
}

// FieldOverrider changes JSON or YAML text inside a string field. One of json
// and yaml is set.
type FieldOverrider struct {
	// fieldPath is the string field as a JSON pointer, for example
	// /data/config.yaml.
	FieldPath string `json:"fieldPath"`
	// json changes the field as JSON text. Excludes yaml.
	// +optional
	// +listType=atomic
	JSON []FieldPatchOperation `json:"json,omitempty"`
	// yaml changes the field as YAML text. Excludes json.
	// +optional
	// +listType=atomic
	YAML []FieldPatchOperation `json:"yaml,omitempty"`
}

// FieldPatchOperation changes one value inside structured text.
type FieldPatchOperation struct {
	// subPath is the value as a JSON pointer inside the text.
	SubPath string `json:"subPath"`
	// operator is add, remove or replace, as in a JSON patch (RFC 6902).
	Operator OverriderOperator `json:"operator"`
	// value is any JSON value but null. Required with add and replace, ignored
	// with remove.
	// +optional
	Value rawjson.Value `json:"value,omitempty"`
}

// PlaintextOverrider changes one field.
type PlaintextOverrider struct {
	// path is the field as a JSON pointer, for example /spec/replicas.
	// apiVersion, kind, name and namespace cannot be changed.
	Path string `json:"path"`
	// operator is add, remove or replace, as in a JSON patch (RFC 6902).
	Operator OverriderOperator `json:"operator"`
	// value is any JSON value but null. Required with add and replace, ignored
	// with remove.
	// +optional
	Value rawjson.Value `json:"value,omitempty"`
}
