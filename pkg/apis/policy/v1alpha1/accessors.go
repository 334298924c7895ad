// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// +k8s:deepcopy-gen=false

// Propagation is a PropagationPolicy or a ClusterPropagationPolicy; the scope is
// told by an empty namespace.
type Propagation interface {
	metav1.Object
	runtime.Object
	// GetSpec returns the spec of the object itself, not a copy.
	GetSpec() *PropagationSpec
}

// +k8s:deepcopy-gen=false

// Override is an OverridePolicy or a ClusterOverridePolicy; the scope is told by
// an empty namespace.
type Override interface {
	metav1.Object
	runtime.Object
	// GetSpec returns the spec of the object itself, not a copy.
	GetSpec() *OverrideSpec
}

var (
	_ Propagation = &PropagationPolicy{}
	_ Propagation = &ClusterPropagationPolicy{}
	_ Override    = &OverridePolicy{}
	_ Override    = &ClusterOverridePolicy{}
)

// GetSpec returns the spec of the object itself, not a copy.
func (p *PropagationPolicy) GetSpec() *PropagationSpec { return &p.Spec }

// GetSpec returns the spec of the object itself, not a copy.
func (p *ClusterPropagationPolicy) GetSpec() *PropagationSpec { return &p.Spec }

// GetSpec returns the spec of the object itself, not a copy.
func (p *OverridePolicy) GetSpec() *OverrideSpec { return &p.Spec }

// GetSpec returns the spec of the object itself, not a copy.
func (p *ClusterOverridePolicy) GetSpec() *OverrideSpec { return &p.Spec }
