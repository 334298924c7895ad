// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PropagationPolicy says which templates of its namespace go to which members.
type PropagationPolicy struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec PropagationSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PropagationPolicyList is a list of PropagationPolicies.
type PropagationPolicyList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []PropagationPolicy
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterPropagationPolicy says which templates, of any namespace or of none, go
// to which members. A PropagationPolicy that matches the same template wins.
type ClusterPropagationPolicy struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec PropagationSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterPropagationPolicyList is a list of ClusterPropagationPolicies.
type ClusterPropagationPolicyList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ClusterPropagationPolicy
}

// PropagationSpec says which templates go to which members, and how.
type PropagationSpec struct {
	ResourceSelectors           []ResourceSelector
	Association                 bool
	PropagateDeps               bool
	Placement                   Placement
	Priority                    int32
	Preemption                  PreemptionBehavior
	DependentOverrides          []string
	SchedulerName               string
	Failover                    *FailoverBehavior
	ConflictResolution          ConflictResolution
	RecreatePolicy              RecreatePolicy
	ActivationPreference        ActivationPreference
	Suspension                  *Suspension
	PreserveResourcesOnDeletion *bool
	SchedulePriority            *SchedulePriority
}

// ResourceSelector picks templates.
type ResourceSelector struct {
	APIVersion    string
	Kind          string
	Namespace     string
	Name          string
	LabelSelector *metav1.LabelSelector
}

// AnyResource as apiVersion or kind of a ResourceSelector picks any.
const AnyResource = "*"

// PreemptionBehavior says whether a policy takes templates from others.
type PreemptionBehavior string

const (
	// PreemptAlways takes templates from policies of lower priority.
	PreemptAlways PreemptionBehavior = "Always"
	// PreemptNever leaves templates with the policy that has them.
	PreemptNever PreemptionBehavior = "Never"
)

// ConflictResolution says what happens to an object that exists in a member.
type ConflictResolution string

const (
	// ConflictAbort leaves the object alone and reports the conflict.
	ConflictAbort ConflictResolution = "Abort"
	// ConflictOverwrite takes the object over.
	ConflictOverwrite ConflictResolution = "Overwrite"
	// ConflictIfNoDiff takes the object over if that would change nothing in it,
	// and reports the conflict otherwise.
	ConflictIfNoDiff ConflictResolution = "IfNoDiff"
)

// RecreatePolicy says whether objects in members are deleted and created anew.
type RecreatePolicy string

const (
	// RecreateNever leaves an object as it is that cannot be changed, and reports
	// that.
	RecreateNever RecreatePolicy = "Never"
	// RecreateOnImmutableChange deletes an object that cannot be changed as wanted,
	// because the member takes a field of it for immutable, and creates it anew.
	RecreateOnImmutableChange RecreatePolicy = "OnImmutableChange"
)

// ActivationPreference says when a changed policy takes effect.
type ActivationPreference string

const (
	// ActivateAtOnce applies a changed policy at once.
	ActivateAtOnce ActivationPreference = ""
	// ActivateLazily applies a changed policy with the next change of the
	// template.
	ActivateLazily ActivationPreference = "Lazy"
)

// Suspension holds changes back. One of its fields may be set.
type Suspension struct {
	Dispatching           *bool
	DispatchingOnClusters *SuspendClusters
}

// SuspendClusters names members.
type SuspendClusters struct {
	ClusterNames []string
}

// PriorityClassSource says where the class of a SchedulePriority is found.
type PriorityClassSource string

const (
	// KubePriorityClass means a PriorityClass of scheduling.k8s.io by name.
	KubePriorityClass PriorityClassSource = "KubePriorityClass"
	// PodPriorityClass means the class the Pod template names.
	PodPriorityClass PriorityClassSource = "PodPriorityClass"
	// FederatedPriorityClass means a FederatedPriorityClass by name.
	FederatedPriorityClass PriorityClassSource = "FederatedPriorityClass"
)

// SchedulePriority says how a template is ordered among those that wait.
type SchedulePriority struct {
	PriorityClassSource PriorityClassSource
	PriorityClassName   string
}
