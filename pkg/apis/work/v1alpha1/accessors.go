// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
)

// +k8s:deepcopy-gen=false

// Binding is a ResourceBinding or a ClusterResourceBinding; the scope is told by
// an empty namespace. Code takes a Binding, so that there is one implementation
// for both.
type Binding interface {
	metav1.Object
	runtime.Object
	// GetSpec returns the spec of the object itself, not a copy.
	GetSpec() *BindingSpec
	// GetStatus returns the status of the object itself, not a copy.
	GetStatus() *BindingStatus
}

var (
	_ Binding = &ResourceBinding{}
	_ Binding = &ClusterResourceBinding{}
)

// GetSpec returns the spec of the object itself, not a copy.
func (b *ResourceBinding) GetSpec() *BindingSpec { return &b.Spec }

// GetStatus returns the status of the object itself, not a copy.
func (b *ResourceBinding) GetStatus() *BindingStatus { return &b.Status }

// GetSpec returns the spec of the object itself, not a copy.
func (b *ClusterResourceBinding) GetSpec() *BindingSpec { return &b.Spec }

// GetStatus returns the status of the object itself, not a copy.
func (b *ClusterResourceBinding) GetStatus() *BindingStatus { return &b.Status }

// Holders returns the members that have the template's object, or will have it:
// those decided upon, those being evicted, and those that bindings depending on
// this one go to. Members that only have a tombstone are not among them.
func (s *BindingSpec) Holders() sets.Set[string] {
	members := sets.New[string]()
	for i := range s.Clusters {
		members.Insert(s.Clusters[i].Name)
	}
	for i := range s.GracefulEvictionTasks {
		members.Insert(s.GracefulEvictionTasks[i].FromCluster)
	}
	for i := range s.RequiredBy {
		for j := range s.RequiredBy[i].Clusters {
			members.Insert(s.RequiredBy[i].Clusters[j].Name)
		}
	}
	return members
}

// GroupKind returns the kind of the object, whatever its version.
func (r ObjectReference) GroupKind() schema.GroupKind {
	return schema.FromAPIVersionAndKind(r.APIVersion, r.Kind).GroupKind()
}
