// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PropagationPolicy says which templates of its namespace go to which members.
type PropagationPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what goes where.
	Spec PropagationSpec `json:"spec"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// PropagationPolicyList is a list of PropagationPolicies.
type PropagationPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the PropagationPolicies.
	Items []PropagationPolicy `json:"items"`
}

// +genclient
// +genclient:nonNamespaced
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterPropagationPolicy says which templates, of any namespace or of none, go
// to which members. A PropagationPolicy that matches the same template wins.
type ClusterPropagationPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what goes where.
	Spec PropagationSpec `json:"spec"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterPropagationPolicyList is a list of ClusterPropagationPolicies.
type ClusterPropagationPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the ClusterPropagationPolicies.
	Items []ClusterPropagationPolicy `json:"items"`
}

// PropagationSpec says which templates go to which members, and how.
type PropagationSpec struct {
	// resourceSelectors pick the templates; a template is picked when one of
	// them matches. At least one. Those of a PropagationPolicy match in the
	// policy's own namespace only.
	// +listType=atomic
	ResourceSelectors []ResourceSelector `json:"resourceSelectors"`

	// association is the former name of propagateDeps.
	//
	// Deprecated: use propagateDeps.
	// +optional
	Association bool `json:"association,omitempty"`

	// propagateDeps sends what a template refers to (ConfigMaps, Secrets,
	// ServiceAccounts, ...) to the same members, though no policy picks it.
	// Defaults to false.
	// +optional
	PropagateDeps bool `json:"propagateDeps,omitempty"`

	// placement picks the members and divides the replicas.
	// +optional
	Placement Placement `json:"placement,omitempty"`

	// priority decides when several policies of one scope pick a template: the
	// higher wins. Among equals the more precise resource selector wins (name,
	// then label selector, then kind), then the first policy name. Defaults to 0.
	// +optional
	// +default=0
	Priority int32 `json:"priority"`

	// preemption says whether this policy takes over templates that a policy of
	// lower priority already placed: Always or Never. Defaults to Never.
	// +optional
	// +default="Never"
	Preemption PreemptionBehavior `json:"preemption,omitempty"`

	// dependentOverrides names the override policies that have to exist before
	// the templates are placed.
	// +optional
	// +listType=set
	DependentOverrides []string `json:"dependentOverrides,omitempty"`

	// schedulerName is the scheduler that decides. Immutable. Defaults to
	// default-scheduler.
	// +optional
	// +default="default-scheduler"
	SchedulerName string `json:"schedulerName,omitempty"`

	// failover says when and how a template leaves a member that cannot run it.
	// +optional
	Failover *FailoverBehavior `json:"failover,omitempty"`

	// conflictResolution says what happens when the object exists in a member
	// already and the fleet did not create it: Abort (report), Overwrite (take
	// it over) or IfNoDiff (take it over if that changes nothing, else report).
	// Defaults to IfNoDiff.
	// +optional
	// +default="IfNoDiff"
	ConflictResolution ConflictResolution `json:"conflictResolution,omitempty"`

	// recreatePolicy says what happens when the object in a member cannot be
	// changed as wanted because the member takes a field for immutable: Never
	// (leave it and report) or OnImmutableChange (delete the object in that member
	// and create it anew, which ends its Pods). Kinds that hold data are never
	// recreated (PersistentVolumeClaim, PersistentVolume, CustomResourceDefinition,
	// Namespace), nor is what was there before the fleet or is protected against
	// deletion. The Pods of a StatefulSet go on running and are taken over.
	// Defaults to Never.
	// +optional
	// +default="Never"
	RecreatePolicy RecreatePolicy `json:"recreatePolicy,omitempty"`

	// activationPreference says when a changed policy takes effect on templates
	// it already placed: at once when empty, with the next change of the
	// template when Lazy.
	// +optional
	ActivationPreference ActivationPreference `json:"activationPreference,omitempty"`

	// suspension holds changes back, from all or from some members.
	// +optional
	Suspension *Suspension `json:"suspension,omitempty"`

	// preserveResourcesOnDeletion leaves the members' objects running when the
	// template is deleted. Defaults to false.
	// +optional
	PreserveResourcesOnDeletion *bool `json:"preserveResourcesOnDeletion,omitempty"`

	// schedulePriority orders templates that wait for capacity.
	// +optional
	SchedulePriority *SchedulePriority `json:"schedulePriority,omitempty"`
}

// ResourceSelector picks templates.
type ResourceSelector struct {
	// apiVersion of the templates, for example apps/v1; * picks any.
	APIVersion string `json:"apiVersion"`
	// kind of the templates, for example Deployment; * picks any.
	Kind string `json:"kind"`
	// namespace of the templates. Empty means every namespace in a cluster
	// policy and the policy's own in a namespaced one, where no other may be
	// named.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the template. Empty picks every name.
	// +optional
	Name string `json:"name,omitempty"`
	// labelSelector picks templates by their labels. Ignored when name is set.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// AnyResource as apiVersion or kind of a ResourceSelector picks any.
const AnyResource = "*"

// PreemptionBehavior says whether a policy takes templates from others.
// +enum
type PreemptionBehavior string

const (
	// PreemptAlways takes templates from policies of lower priority.
	PreemptAlways PreemptionBehavior = "Always"
	// PreemptNever leaves templates with the policy that has them.
	PreemptNever PreemptionBehavior = "Never"
)

// ConflictResolution says what happens to an object that exists in a member.
// +enum
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
// +enum
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
// +enum
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
	// dispatching set to true holds changes back from every member. Deletions
	// are held back too.
	// +optional
	Dispatching *bool `json:"dispatching,omitempty"`
	// dispatchingOnClusters holds changes back from the named members. Excludes
	// dispatching.
	// +optional
	DispatchingOnClusters *SuspendClusters `json:"dispatchingOnClusters,omitempty"`
}

// SuspendClusters names members.
type SuspendClusters struct {
	// clusterNames are the names of the Clusters.
	// +optional
	// +listType=set
	ClusterNames []string `json:"clusterNames,omitempty"`
}

// PriorityClassSource says where the class of a SchedulePriority is found.
// +enum
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
	// priorityClassSource says where the class is found: KubePriorityClass,
	// PodPriorityClass or FederatedPriorityClass.
	PriorityClassSource PriorityClassSource `json:"priorityClassSource"`
	// priorityClassName names the class. Required unless priorityClassSource is
	// PodPriorityClass, which takes none.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
}
