// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
)

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceBinding is the decision for one namespaced template: which members run
// it, with how many replicas and which overrides. It lives in the namespace of
// the template and outlives it until every member confirmed that its object is
// gone.
type ResourceBinding struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name is made of name and kind
	// of the template.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the decision; the scheduler writes it.
	Spec BindingSpec `json:"spec"`
	// status is what became of it.
	// +optional
	Status BindingStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ResourceBindingList is a list of ResourceBindings.
type ResourceBindingList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the ResourceBindings.
	Items []ResourceBinding `json:"items"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterResourceBinding is the decision for one cluster-scoped template. It is a
// ResourceBinding in every other way.
type ClusterResourceBinding struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name is made of name and kind
	// of the template.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the decision; the scheduler writes it.
	Spec BindingSpec `json:"spec"`
	// status is what became of it.
	// +optional
	Status BindingStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterResourceBindingList is a list of ClusterResourceBindings.
type ClusterResourceBindingList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the ClusterResourceBindings.
	Items []ClusterResourceBinding `json:"items"`
}

// BindingSpec is the decision for one template.
type BindingSpec struct {
	// resource is the template. Its apiVersion may change to another version of
	// the same group, its uid when the template was created anew; the rest is
	// immutable.
	Resource ObjectReference `json:"resource"`

	// policy is the policy the decision follows. Nil when none matched.
	// +optional
	Policy *PolicyReference `json:"policy,omitempty"`

	// placement is the placement of the policy, as decided upon.
	// +optional
	Placement *policyv1alpha1.Placement `json:"placement,omitempty"`

	// replicas the template asks for, as decided upon. Not negative. 0 for kinds
	// without replicas.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`

	// replicaRequirements are what one replica needs from a member. Nil for
	// kinds without replicas.
	// +optional
	ReplicaRequirements *ReplicaRequirements `json:"replicaRequirements,omitempty"`

	// replicaRevision is the CEL expression that sets the replicas of a member in
	// the template, from the ResourceInterpreterCustomization of its kind. Empty
	// for native kinds, and for kinds whose replicas are not divided. At most 10240
	// bytes.
	// +optional
	ReplicaRevision string `json:"replicaRevision,omitempty"`

	// components are the sorts of Pods of a template that has several. They go
	// to one member together.
	// +optional
	// +listType=map
	// +listMapKey=name
	Components []Component `json:"components,omitempty"`

	// clusters are the members that run the template, with their replicas. A
	// member is listed here before anything is applied to it. One that is taken
	// off the list becomes a tombstone in the same write, unless
	// gracefulEvictionTasks or requiredBy keep it.
	// +optional
	// +listType=map
	// +listMapKey=name
	Clusters []TargetCluster `json:"clusters,omitempty"`

	// tombstones are the members whose object is to be deleted. The server adds
	// them when a member is in clusters, gracefulEvictionTasks and requiredBy no
	// more, or every member when resource.uid changes. It takes one off when the member confirmed the deletion, or when
	// the member comes back to clusters for the same uid. Nobody else can.
	// +optional
	// +listType=map
	// +listMapKey=clusterName
	// +listMapKey=uid
	Tombstones []Tombstone `json:"tombstones,omitempty"`

	// overrides are the changes to the template that apply to some of the
	// members, in the order they are applied.
	// +optional
	// +listType=atomic
	Overrides []ResolvedOverride `json:"overrides,omitempty"`

	// versions are the API versions of members that do not serve the one of
	// resource.apiVersion. The server converts the template for them.
	// +optional
	// +listType=map
	// +listMapKey=apiVersion
	Versions []MemberVersion `json:"versions,omitempty"`

	// gracefulEvictionTasks are the members that lose the template, or replicas of
	// it, once its replacement is healthy. A member that is in clusters no more is
	// served still; one that is runs the replicas of its tasks in addition.
	// +optional
	// +listType=atomic
	GracefulEvictionTasks []GracefulEvictionTask `json:"gracefulEvictionTasks,omitempty"`

	// requiredBy are the bindings of the templates that depend on this one; it
	// goes to their members as well.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	RequiredBy []BindingSnapshot `json:"requiredBy,omitempty"`

	// propagateDeps sends what the template refers to with it. From the policy.
	// +optional
	PropagateDeps bool `json:"propagateDeps,omitempty"`

	// schedulerName is the scheduler that decides. From the policy.
	// +optional
	// +default="default-scheduler"
	SchedulerName string `json:"schedulerName,omitempty"`

	// schedulePriority orders the binding among those that wait.
	// +optional
	SchedulePriority *SchedulePriority `json:"schedulePriority,omitempty"`

	// failover says when and how the template leaves a member. From the policy.
	// +optional
	Failover *policyv1alpha1.FailoverBehavior `json:"failover,omitempty"`

	// conflictResolution says what happens when the object exists in a member
	// already: Abort, Overwrite or IfNoDiff. From the policy. Defaults to
	// IfNoDiff.
	// +optional
	// +default="IfNoDiff"
	ConflictResolution policyv1alpha1.ConflictResolution `json:"conflictResolution,omitempty"`

	// recreatePolicy says whether a member's object is deleted and created anew
	// when it cannot be changed: Never or OnImmutableChange. Empty means Never. From
	// the policy.
	// +optional
	RecreatePolicy policyv1alpha1.RecreatePolicy `json:"recreatePolicy,omitempty"`

	// suspension holds changes back.
	// +optional
	Suspension *Suspension `json:"suspension,omitempty"`

	// preserveResourcesOnDeletion leaves the members' objects running when the
	// template is deleted: the tombstones that the server makes then release the
	// object instead of deleting it. What it is at that moment counts. From the
	// policy. Defaults to false.
	// +optional
	PreserveResourcesOnDeletion *bool `json:"preserveResourcesOnDeletion,omitempty"`

	// rescheduleTriggeredAt makes the scheduler decide anew, regardless of where
	// the replicas are, when it is later than status.lastScheduledTime.
	// +optional
	RescheduleTriggeredAt *metav1.Time `json:"rescheduleTriggeredAt,omitempty"`
}

// ObjectReference names a template.
type ObjectReference struct {
	// apiVersion of the template.
	APIVersion string `json:"apiVersion"`
	// kind of the template.
	Kind string `json:"kind"`
	// namespace of the template, empty for a cluster-scoped one. It is the
	// namespace of the binding.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the template.
	Name string `json:"name"`
	// uid of the template. Required.
	UID types.UID `json:"uid"`
	// resourceVersion of the template when it was last decided upon. It is for
	// people to read; nothing is derived from it.
	// +optional
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// PolicyReference names the policy a decision follows.
type PolicyReference struct {
	// namespace of a PropagationPolicy, empty for a ClusterPropagationPolicy.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the policy.
	Name string `json:"name"`
	// uid of the policy.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// generation of the policy that was decided upon.
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// ReplicaRequirements are what one replica needs from a member.
type ReplicaRequirements struct {
	// nodeClaim is what it needs from a node.
	// +optional
	NodeClaim *NodeClaim `json:"nodeClaim,omitempty"`
	// resourceRequest is what its Pod requests.
	// +optional
	ResourceRequest corev1.ResourceList `json:"resourceRequest,omitempty"`
	// namespace of its Pod; quota is counted there.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// priorityClassName of its Pod.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// NodeClaim is what a Pod needs from a node.
type NodeClaim struct {
	// hardNodeAffinity is the required node affinity of the Pod.
	// +optional
	HardNodeAffinity *corev1.NodeSelector `json:"hardNodeAffinity,omitempty"`
	// nodeSelector of the Pod.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations of the Pod.
	// +optional
	// +listType=atomic
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
}

// Component is one sort of Pods of a template that has several.
type Component struct {
	// name of the component, unique in the list.
	Name string `json:"name"`
	// replicas of the component. Not negative.
	Replicas int32 `json:"replicas"`
	// replicaRequirements are what one replica of it needs.
	// +optional
	ReplicaRequirements *ReplicaRequirements `json:"replicaRequirements,omitempty"`
}

// TargetCluster is a member that runs the template.
type TargetCluster struct {
	// name of the Cluster.
	Name string `json:"name"`
	// replicas the member runs. Not negative. 0 for kinds without replicas, and
	// for Duplicated ones, which keep the number of the template.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
}

// MemberVersion is a version of an API and the members that get a template in it.
type MemberVersion struct {
	// apiVersion of the template in the members, of the group of resource.apiVersion.
	APIVersion string `json:"apiVersion"`
	// clusters are the names of the members. At least one.
	// +listType=set
	Clusters []string `json:"clusters"`
}

// Tombstone is a member whose object is to be deleted.
type Tombstone struct {
	// clusterName is the name of the Cluster.
	ClusterName string `json:"clusterName"`
	// uid of the template whose object is to be deleted; an object that came from
	// another is left alone.
	UID types.UID `json:"uid"`
	// orphan releases the object instead of deleting it. Whoever takes the member
	// off clusters asks for it by adding the tombstone in the same write.
	// +optional
	Orphan bool `json:"orphan,omitempty"`
	// generation is that of the binding which made the tombstone. A confirmation
	// of a work of an earlier generation is about an earlier tombstone. Set by the
	// server.
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// ResolvedOverride is a rule of an override policy, resolved to members.
type ResolvedOverride struct {
	// policy the rule is from.
	Policy OverrideReference `json:"policy"`
	// clusters the rule applies to. Empty means all.
	// +optional
	// +listType=set
	Clusters []string `json:"clusters,omitempty"`
	// overriders are the changes.
	Overriders policyv1alpha1.Overriders `json:"overriders"`
	// facts are what the expression of the overriders may ask about the members,
	// as they were when it was decided. None without an expression.
	// +optional
	// +listType=map
	// +listMapKey=name
	Facts []ClusterFacts `json:"facts,omitempty"`
}

// ClusterFacts is what an expression may ask about a member: a part of its
// Cluster, so that works follow from template and binding alone.
type ClusterFacts struct {
	// name of the Cluster.
	Name string `json:"name"`
	// labels of the Cluster.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// provider of the Cluster, said or observed.
	// +optional
	Provider string `json:"provider,omitempty"`
	// region of the Cluster, said or observed.
	// +optional
	Region string `json:"region,omitempty"`
	// zones of the Cluster, said or observed.
	// +optional
	// +listType=atomic
	Zones []string `json:"zones,omitempty"`
	// kubernetesVersion of the Cluster.
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
}

// OverrideReference names an override policy.
type OverrideReference struct {
	// namespace of an OverridePolicy, empty for a ClusterOverridePolicy.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the policy.
	Name string `json:"name"`
	// generation of the policy that was resolved.
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// GracefulEvictionTask is a member that loses the template, or replicas of it,
// once its replacement is healthy.
type GracefulEvictionTask struct {
	// fromCluster is the name of the Cluster.
	FromCluster string `json:"fromCluster"`
	// purgeMode says how the old copy goes: Directly, Gracefully or Never.
	// +optional
	PurgeMode policyv1alpha1.PurgeMode `json:"purgeMode,omitempty"`
	// replicas to evict. Nil means all; of a member that is in clusters too, none.
	// Not negative.
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// reason is a CamelCase word for why, for programs.
	Reason string `json:"reason"`
	// message says why, for people.
	// +optional
	Message string `json:"message,omitempty"`
	// producer is the controller that made the task.
	Producer string `json:"producer"`
	// gracePeriodSeconds is how long to wait for the replacement, in seconds. Nil
	// means the default of the controller.
	// +optional
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`
	// suppressDeletion keeps the old copy until it is set to false or the task is
	// removed.
	// +optional
	SuppressDeletion *bool `json:"suppressDeletion,omitempty"`
	// preservedLabelState are the labels the replacement gets.
	// +optional
	PreservedLabelState map[string]string `json:"preservedLabelState,omitempty"`
	// clustersBeforeFailover are the members that ran the template before.
	// +optional
	// +listType=set
	ClustersBeforeFailover []string `json:"clustersBeforeFailover,omitempty"`
	// creationTimestamp is when the task was made. Set by the server.
	// +optional
	CreationTimestamp *metav1.Time `json:"creationTimestamp,omitempty"`
}

// BindingSnapshot is where a binding that needs this one goes.
type BindingSnapshot struct {
	// namespace of the binding, empty for a cluster-scoped one.
	// +optional
	// +default=""
	Namespace string `json:"namespace,omitempty"`
	// name of the binding.
	Name string `json:"name"`
	// clusters of the binding.
	// +optional
	// +listType=map
	// +listMapKey=name
	Clusters []TargetCluster `json:"clusters,omitempty"`
}

// SchedulePriority orders bindings that wait.
type SchedulePriority struct {
	// priority is the value of the class; the higher goes first. Defaults to 0.
	// +optional
	Priority int32 `json:"priority,omitempty"`
}

// Suspension holds changes back.
type Suspension struct {
	// dispatching set to true holds changes back from every member. Deletions
	// are held back too.
	// +optional
	Dispatching *bool `json:"dispatching,omitempty"`
	// dispatchingOnClusters holds changes back from the named members. Excludes
	// dispatching.
	// +optional
	DispatchingOnClusters *policyv1alpha1.SuspendClusters `json:"dispatchingOnClusters,omitempty"`
	// scheduling set to true keeps the scheduler from deciding.
	// +optional
	Scheduling *bool `json:"scheduling,omitempty"`
}

// Types of conditions of a binding.
const (
	// ConditionScheduled is True when clusters follows from the spec of the
	// template, the policy and the members as they are.
	ConditionScheduled = "Scheduled"
	// ConditionFullyApplied is True when every member in clusters applied the
	// latest work and no tombstone is left.
	ConditionFullyApplied = "FullyApplied"
	// ConditionDrifted is True while some member's object is not as the fleet wants
	// it and is not put right. There is no such condition otherwise.
	ConditionDrifted = "Drifted"
	// ConditionStatusComplete is False while what a member reported is left out of
	// the status, or of that of the template, because it does not fit. There is no
	// such condition otherwise.
	ConditionStatusComplete = "StatusComplete"
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
	// schedulerObservedGeneration is the generation of the binding the scheduler
	// last decided upon.
	// +optional
	SchedulerObservedGeneration int64 `json:"schedulerObservedGeneration,omitempty"`
	// schedulerObservingAffinityName is the term of placement.clusterAffinities
	// in use.
	// +optional
	SchedulerObservingAffinityName string `json:"schedulerObservingAffinityName,omitempty"`
	// lastScheduledTime is when the scheduler last decided.
	// +optional
	LastScheduledTime *metav1.Time `json:"lastScheduledTime,omitempty"`
	// conditions of the binding: Scheduled and FullyApplied.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// aggregatedStatus is what each member reported last.
	// +optional
	// +listType=map
	// +listMapKey=clusterName
	AggregatedStatus []AggregatedStatusItem `json:"aggregatedStatus,omitempty"`
	// reasons say why members were refused by the last decision.
	// +optional
	// +listType=map
	// +listMapKey=clusterName
	Reasons []ClusterReason `json:"reasons,omitempty"`
}

// ResourceHealth is the health of an object in a member.
// +enum
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
	// clusterName is the name of the Cluster.
	ClusterName string `json:"clusterName"`
	// status is the status of the object in the member, as it is there.
	// +optional
	Status *runtime.RawExtension `json:"status,omitempty"`
	// applied says whether the last work was applied.
	// +optional
	Applied bool `json:"applied,omitempty"`
	// appliedReason is a CamelCase word for why the work was not applied, for
	// programs.
	// +optional
	AppliedReason string `json:"appliedReason,omitempty"`
	// appliedMessage says why the work was not applied, for people.
	// +optional
	AppliedMessage string `json:"appliedMessage,omitempty"`
	// health of the object in the member: Healthy, Unhealthy or Unknown.
	// +optional
	Health ResourceHealth `json:"health,omitempty"`
	// contentHash is the contentHash of the work the report is about.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`
	// templateUID is the uid of the template the report is about.
	// +optional
	TemplateUID types.UID `json:"templateUID,omitempty"`
	// templateGeneration is the generation of the template that status reflects;
	// 0 when the member's controllers have not observed it yet.
	// +optional
	TemplateGeneration int64 `json:"templateGeneration,omitempty"`
	// bindingGeneration is the generation of the binding the report is about.
	// +optional
	BindingGeneration int64 `json:"bindingGeneration,omitempty"`
	// memberGeneration is metadata.generation of the object in the member.
	// +optional
	MemberGeneration int64 `json:"memberGeneration,omitempty"`
	// drift are the fields of the object that somebody in the member changed and
	// that the fleet does not put right for now: because the change keeps coming
	// back, or because the work is suspended. At most 20.
	// +optional
	// +listType=atomic
	Drift []FieldDrift `json:"drift,omitempty"`
	// statusOmitted says that the member's status was left out because with it the
	// binding would be larger than the store takes.
	// +optional
	StatusOmitted bool `json:"statusOmitted,omitempty"`
	// unschedulable are the Pods of the object that the member finds no node for.
	// Nil when there are none.
	// +optional
	Unschedulable *UnschedulablePods `json:"unschedulable,omitempty"`
}

// UnschedulablePods are Pods that a member finds no node for.
type UnschedulablePods struct {
	// count is how many there are. Positive.
	Count int32 `json:"count"`
	// since is when there came to be so many: from then on there were never fewer.
	Since metav1.Time `json:"since"`
}

// FieldDrift is a field of the object in a member that is not as the fleet wants
// it, in the manner of JSON patch: what would put it right.
type FieldDrift struct {
	// op is what would put the field right: add, replace or remove.
	Op string `json:"op"`
	// path is the field, as in the managed fields of the object, for example
	// .spec.replicas.
	Path string `json:"path"`
	// value is what the fleet wants, as JSON, cut off after 256 bytes. Empty to
	// remove the field.
	// +optional
	Value string `json:"value,omitempty"`
	// observed is what the member has, as JSON, cut off after 256 bytes. Empty when
	// it has no such field.
	// +optional
	Observed string `json:"observed,omitempty"`
}

// ClusterReason says why a member was refused.
type ClusterReason struct {
	// clusterName is the name of the Cluster.
	ClusterName string `json:"clusterName"`
	// plugin of the scheduler that refused it, for example TaintToleration.
	// +optional
	Plugin string `json:"plugin,omitempty"`
	// message says why, for people. Members refused for the same cause have the
	// same message.
	// +optional
	Message string `json:"message,omitempty"`
}
