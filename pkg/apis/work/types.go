// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/apis/policy"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceBinding is the decision for one namespaced template: which members run
// it, with how many replicas and which overrides. It lives in the namespace of
// the template and outlives it until every member confirmed that its object is
// gone.
type ResourceBinding struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   BindingSpec
	Status BindingStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceBindingList is a list of ResourceBindings.
type ResourceBindingList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ResourceBinding
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterResourceBinding is the decision for one cluster-scoped template. It is a
// ResourceBinding in every other way.
type ClusterResourceBinding struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   BindingSpec
	Status BindingStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterResourceBindingList is a list of ClusterResourceBindings.
type ClusterResourceBindingList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []ClusterResourceBinding
}

// BindingSpec is the decision for one template.
type BindingSpec struct {
	Resource                    ObjectReference
	Policy                      *PolicyReference
	Placement                   *policy.Placement
	Replicas                    int32
	ReplicaRequirements         *ReplicaRequirements
	ReplicaRevision             string
	Components                  []Component
	Clusters                    []TargetCluster
	Tombstones                  []Tombstone
	Overrides                   []ResolvedOverride
	Versions                    []MemberVersion
	GracefulEvictionTasks       []GracefulEvictionTask
	RequiredBy                  []BindingSnapshot
	PropagateDeps               bool
	SchedulerName               string
	SchedulePriority            *SchedulePriority
	Failover                    *policy.FailoverBehavior
	ConflictResolution          policy.ConflictResolution
	RecreatePolicy              policy.RecreatePolicy
	Suspension                  *Suspension
	PreserveResourcesOnDeletion *bool
	RescheduleTriggeredAt       *metav1.Time
}

// ObjectReference names a template.
type ObjectReference struct {
	APIVersion      string
	Kind            string
	Namespace       string
	Name            string
	UID             types.UID
	ResourceVersion string
}

// PolicyReference names the policy a decision follows.
type PolicyReference struct {
	Namespace  string
	Name       string
	UID        types.UID
	Generation int64
}

// ReplicaRequirements are what one replica needs from a member.
type ReplicaRequirements struct {
	NodeClaim         *NodeClaim
	ResourceRequest   corev1.ResourceList
	Namespace         string
	PriorityClassName string
}

// NodeClaim is what a Pod needs from a node.
type NodeClaim struct {
	HardNodeAffinity *corev1.NodeSelector
	NodeSelector     map[string]string
	Tolerations      []corev1.Toleration
}

// Component is one sort of Pods of a template that has several.
type Component struct {
	Name                string
	Replicas            int32
	ReplicaRequirements *ReplicaRequirements
}

// TargetCluster is a member that runs the template.
type TargetCluster struct {
	Name     string
	Replicas int32
}

// MemberVersion is a version of an API and the members that get a template in it.
type MemberVersion struct {
	APIVersion string
	Clusters   []string
}

// Tombstone is a member whose object is to be deleted.
type Tombstone struct {
	ClusterName string
	UID         types.UID
	Orphan      bool
	Generation  int64
}

// ResolvedOverride is a rule of an override policy, resolved to members.
type ResolvedOverride struct {
	Policy     OverrideReference
	Clusters   []string
	Overriders policy.Overriders
	Facts      []ClusterFacts
}

// ClusterFacts is what an expression may ask about a member.
type ClusterFacts struct {
	Name              string
	Labels            map[string]string
	Provider          string
	Region            string
	Zones             []string
	KubernetesVersion string
}

// OverrideReference names an override policy.
type OverrideReference struct {
	Namespace  string
	Name       string
	Generation int64
}

// GracefulEvictionTask is a member that loses the template, or replicas of it,
// once its replacement is healthy.
type GracefulEvictionTask struct {
	FromCluster            string
	PurgeMode              policy.PurgeMode
	Replicas               *int32
	Reason                 string
	Message                string
	Producer               string
	GracePeriodSeconds     *int32
	SuppressDeletion       *bool
	PreservedLabelState    map[string]string
	ClustersBeforeFailover []string
	CreationTimestamp      *metav1.Time
}

// BindingSnapshot is where a binding that needs this one goes.
type BindingSnapshot struct {
	Namespace string
	Name      string
	Clusters  []TargetCluster
}

// SchedulePriority orders bindings that wait.
type SchedulePriority struct {
	Priority int32
}

// Suspension holds changes back.
type Suspension struct {
	Dispatching           *bool
	DispatchingOnClusters *policy.SuspendClusters
	Scheduling            *bool
}

// Types of conditions of a binding.
const (
	// ConditionScheduled is True when clusters follows from the spec of the
	// template, the policy and the members as they are.
	ConditionScheduled = "Scheduled"
	// ConditionFullyApplied is True when every member in clusters applied the
	// latest work and no tombstone is left.
	ConditionFullyApplied = "FullyApplied"
)

// Reasons of the condition Scheduled.
const (
	// ReasonSuccess says that the decision was made.
	ReasonSuccess = "Success"
	// ReasonNoClusterFit says that no member passes the filters.
	ReasonNoClusterFit = "NoClusterFit"
	// ReasonUnschedulable says that the members that pass have not enough
	// capacity, or are too few for the spread constraints.
	ReasonUnschedulable = "Unschedulable"
	// ReasonSchedulerError says that the scheduler failed.
	ReasonSchedulerError = "SchedulerError"
	// ReasonQuotaExceeded says that a quota does not allow it.
	ReasonQuotaExceeded = "QuotaExceeded"
)

// Reasons of the condition FullyApplied.
const (
	// ReasonFullyAppliedSuccess is the reason of True.
	ReasonFullyAppliedSuccess = "FullyAppliedSuccess"
	// ReasonFullyAppliedFailed says that some member refused the work.
	ReasonFullyAppliedFailed = "FullyAppliedFailed"
	// ReasonFullyAppliedPending says that some member has not answered yet.
	ReasonFullyAppliedPending = "FullyAppliedPending"
)

// BindingStatus is what became of a decision.
type BindingStatus struct {
	SchedulerObservedGeneration    int64
	SchedulerObservingAffinityName string
	LastScheduledTime              *metav1.Time
	Conditions                     []metav1.Condition
	AggregatedStatus               []AggregatedStatusItem
	Reasons                        []ClusterReason
}

// ResourceHealth is the health of an object in a member.
type ResourceHealth string

const (
	// ResourceHealthy means that the object does what it should.
	ResourceHealthy ResourceHealth = "Healthy"
	// ResourceUnhealthy means that the object does not do what it should.
	ResourceUnhealthy ResourceHealth = "Unhealthy"
	// ResourceUnknown means that nothing is known about the object's health.
	ResourceUnknown ResourceHealth = "Unknown"
)

// AggregatedStatusItem is what one member reported last.
type AggregatedStatusItem struct {
	ClusterName        string
	Status             *runtime.RawExtension
	Applied            bool
	AppliedReason      string
	AppliedMessage     string
	Health             ResourceHealth
	ContentHash        string
	TemplateUID        types.UID
	TemplateGeneration int64
	BindingGeneration  int64
	MemberGeneration   int64
	Drift              []FieldDrift
	StatusOmitted      bool
	Unschedulable      *UnschedulablePods
}

// UnschedulablePods are Pods that a member finds no node for.
type UnschedulablePods struct {
	Count int32
	Since metav1.Time
}

// FieldDrift is a field of the object in a member that is not as the fleet wants it.
type FieldDrift struct {
	Op       string
	Path     string
	Value    string
	Observed string
}

// ClusterReason says why a member was refused.
type ClusterReason struct {
	ClusterName string
	Plugin      string
	Message     string
}
