// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
)

// +genclient
// +genclient:onlyVerbs=get,list,watch,updateStatus,patch
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Work is one template in one member, as the member's syncer is told to apply
// it. It lives in the namespace fleet-cluster-<member>. It is rendered from
// template and binding when it is read and never stored; only its status can be
// written, by the syncer.
type Work struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. Labels name the template.
	// resourceVersion is that of the template or of the binding, whichever is
	// later.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the syncer does.
	Spec WorkSpec `json:"spec"`
	// status is what the syncer reported.
	// +optional
	Status WorkStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkList is a list of Works.
type WorkList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the Works.
	Items []Work `json:"items"`
}

// WorkSpec is what a syncer does with one object.
type WorkSpec struct {
	// workload is the object.
	Workload WorkloadTemplate `json:"workload"`
	// suspendDispatching tells the syncer to leave the member's object as it is.
	// +optional
	SuspendDispatching *bool `json:"suspendDispatching,omitempty"`
	// preserveResourcesOnDeletion says that the object would stay in the member if
	// the template went now. It is for people to read: a tombstone does not carry
	// it and says orphan instead.
	// +optional
	PreserveResourcesOnDeletion *bool `json:"preserveResourcesOnDeletion,omitempty"`
	// conflictResolution says what happens when the object exists in the member
	// already and the fleet did not create it: Abort, Overwrite or IfNoDiff.
	// +optional
	ConflictResolution policyv1alpha1.ConflictResolution `json:"conflictResolution,omitempty"`
	// recreatePolicy says whether the object is deleted and created anew when the
	// member takes what is to be changed in it for immutable: Never or
	// OnImmutableChange. Empty means Never.
	// +optional
	RecreatePolicy policyv1alpha1.RecreatePolicy `json:"recreatePolicy,omitempty"`
	// template is the template the work is rendered from. In a tombstone its uid
	// is that of the template whose object is to be deleted.
	Template TemplateReference `json:"template"`
	// binding is the binding the work is rendered from.
	Binding BindingReference `json:"binding"`
	// deleted makes the work a tombstone: the syncer deletes the object, if it
	// came from the template with that uid, and confirms. The manifest then has
	// apiVersion, kind, namespace and name only.
	// +optional
	Deleted bool `json:"deleted,omitempty"`
	// orphan makes a tombstone release the object instead of deleting it.
	// +optional
	Orphan bool `json:"orphan,omitempty"`
	// finished says that the object, a Job or a Pod, ran to its end in the member. A
	// syncer that does not find it there does not create it: it would run once more.
	// +optional
	Finished bool `json:"finished,omitempty"`
	// contentHash is a hash of the manifest; feedback names it to say which
	// content it is about.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`
}

// WorkloadTemplate holds the object.
type WorkloadTemplate struct {
	// manifests has exactly one item, the whole object.
	// +listType=atomic
	Manifests []runtime.RawExtension `json:"manifests"`
}

// TemplateReference names the template of a work.
type TemplateReference struct {
	// apiVersion of the template.
	APIVersion string `json:"apiVersion"`
	// kind of the template.
	Kind string `json:"kind"`
	// namespace of the template, empty for a cluster-scoped one.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the template.
	Name string `json:"name"`
	// uid of the template.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// generation of the template.
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// BindingReference names the binding of a work.
type BindingReference struct {
	// namespace of a ResourceBinding, empty for a ClusterResourceBinding.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the binding.
	Name string `json:"name"`
	// uid of the binding.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// generation of the binding.
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// Types of conditions of a Work.
const (
	// WorkApplied is True when the member's object is as the work says.
	WorkApplied = "Applied"
	// WorkAvailable is True when the member's object exists.
	WorkAvailable = "Available"
	// WorkProgressing is True while the member's object moves to the desired
	// state.
	WorkProgressing = "Progressing"
	// WorkDegraded is True when the member's object is unhealthy.
	WorkDegraded = "Degraded"
	// WorkDispatching is False while suspendDispatching holds the work back.
	WorkDispatching = "Dispatching"
	// WorkDrifted is True after someone changed a field of the member's object
	// that the fleet owns, until it is put right.
	WorkDrifted = "Drifted"
)

// Reasons why a work was not applied: appliedReason of feedback and of a binding's
// aggregatedStatus, and the reason of the condition Applied.
const (
	// AppliedReasonSuccess is the reason of Applied=True.
	AppliedReasonSuccess = "AppliedSuccessful"
	// AppliedReasonFailed says that the member's API server could not be asked or
	// failed; the syncer tries again.
	AppliedReasonFailed = "AppliedFailed"
	// AppliedReasonConflict says that the object exists and conflictResolution
	// does not allow to take it over.
	AppliedReasonConflict = "Conflict"
	// AppliedReasonInvalid says that the member's API server refused the object.
	AppliedReasonInvalid = "Invalid"
	// AppliedReasonImmutable says that the member takes a field for immutable that
	// is to be changed; the message says what to do.
	AppliedReasonImmutable = "Immutable"
	// AppliedReasonRecreating says that the object is being deleted in the member, to
	// be created anew, because a field of it is immutable.
	AppliedReasonRecreating = "Recreating"
	// AppliedReasonRecreated says that the work was applied to a new object, after the
	// one before was deleted in the member because a field of it is immutable.
	AppliedReasonRecreated = "Recreated"
	// AppliedReasonForbidden says that the fleet has no right in the member to write
	// the object.
	AppliedReasonForbidden = "Forbidden"
	// AppliedReasonDenied says that the member's admission does not let the object
	// in: a webhook, an admission policy, a quota, a limit, or a plugin of its API
	// server. The message has its words.
	AppliedReasonDenied = "Denied"
	// AppliedReasonKindNotServed says that the member does not serve the kind.
	AppliedReasonKindNotServed = "KindNotServed"
	// AppliedReasonSuspended says that the work is held back.
	AppliedReasonSuspended = "Suspended"
	// AppliedReasonRenderFailed says that there is no work to apply: an override does
	// not fit the template.
	AppliedReasonRenderFailed = "RenderFailed"
	// AppliedReasonNotInterpreted says that the work was applied, and that an
	// expression of a ResourceInterpreterCustomization fails on the object; the
	// message says which, and why.
	AppliedReasonNotInterpreted = "NotInterpreted"
	// AppliedReasonPruned says that the work was applied without fields the
	// member does not know; the message names them.
	AppliedReasonPruned = "Pruned"
	// AppliedReasonNotEmpty says that a namespace which the fleet created was
	// released instead of deleted, because others put something into it.
	AppliedReasonNotEmpty = "NamespaceNotEmpty"
)

// WorkStatus is what the syncer reported about a work.
type WorkStatus struct {
	// conditions of the work: Applied, Available, Degraded, Progressing,
	// Dispatching, Drifted.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// manifestStatuses has one item for the one manifest.
	// +optional
	// +listType=atomic
	ManifestStatuses []ManifestStatus `json:"manifestStatuses,omitempty"`
	// contentHash is spec.contentHash of the work the report is about.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`
	// templateGeneration is the generation of the template that the reported
	// status reflects.
	// +optional
	TemplateGeneration int64 `json:"templateGeneration,omitempty"`
	// memberGeneration is metadata.generation of the object in the member.
	// +optional
	MemberGeneration int64 `json:"memberGeneration,omitempty"`
	// deleted confirms a tombstone: the object is gone from the member, or
	// released.
	// +optional
	Deleted bool `json:"deleted,omitempty"`
}

// ManifestStatus is the state of the object in the member.
type ManifestStatus struct {
	// identifier names the object.
	Identifier ResourceIdentifier `json:"identifier"`
	// status of the object in the member, as it is there.
	// +optional
	Status *runtime.RawExtension `json:"status,omitempty"`
	// health of the object: Healthy, Unhealthy or Unknown.
	// +optional
	Health ResourceHealth `json:"health,omitempty"`
}

// ResourceIdentifier names an object in a member.
type ResourceIdentifier struct {
	// ordinal is the position in spec.workload.manifests, counted from 0.
	Ordinal int32 `json:"ordinal"`
	// group of the object.
	// +optional
	Group string `json:"group,omitempty"`
	// version of the object.
	Version string `json:"version"`
	// kind of the object.
	Kind string `json:"kind"`
	// resource is the plural name of the kind.
	// +optional
	Resource string `json:"resource,omitempty"`
	// namespace of the object, empty for a cluster-scoped one.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	Name string `json:"name"`
}

// +genclient
// +genclient:onlyVerbs=create
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkFeedback carries what a syncer reports about many works of its member in
// one request. It is created in the namespace fleet-cluster-<member> and not
// stored; the answer comes when the reports are durable in the bindings' status.
type WorkFeedback struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name has no meaning.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the report.
	Spec WorkFeedbackSpec `json:"spec"`
	// status is the answer.
	// +optional
	Status WorkFeedbackStatus `json:"status,omitempty"`
}

// WorkFeedbackSpec is the report.
type WorkFeedbackSpec struct {
	// items are the reports, one per work. At most 5000.
	// +listType=atomic
	Items []FeedbackItem `json:"items"`
}

// FeedbackItem is the report about one work. It replaces the one before.
type FeedbackItem struct {
	// name of the work.
	Name string `json:"name"`
	// templateUID is spec.template.uid of the work. A report about another than
	// the current template, or tombstone, is dropped.
	TemplateUID types.UID `json:"templateUID"`
	// bindingGeneration is spec.binding.generation of the work.
	// +optional
	BindingGeneration int64 `json:"bindingGeneration,omitempty"`
	// contentHash is spec.contentHash of the work.
	// +optional
	ContentHash string `json:"contentHash,omitempty"`
	// applied says whether the work was applied.
	// +optional
	Applied bool `json:"applied,omitempty"`
	// appliedReason is a CamelCase word for why not, for programs.
	// +optional
	AppliedReason string `json:"appliedReason,omitempty"`
	// appliedMessage says why not, for people. At most 32768 bytes.
	// +optional
	AppliedMessage string `json:"appliedMessage,omitempty"`
	// deleted confirms a tombstone: the object is gone from the member, or
	// released.
	// +optional
	Deleted bool `json:"deleted,omitempty"`
	// health of the object in the member: Healthy, Unhealthy or Unknown. Defaults
	// to Unknown.
	// +optional
	// +default="Unknown"
	Health ResourceHealth `json:"health,omitempty"`
	// status of the object in the member, as it is there.
	// +optional
	Status *runtime.RawExtension `json:"status,omitempty"`
	// memberGeneration is metadata.generation of the object in the member.
	// +optional
	MemberGeneration int64 `json:"memberGeneration,omitempty"`
	// templateGeneration is the generation of the template that status reflects:
	// that of the work, once the member's controllers have observed
	// memberGeneration.
	// +optional
	TemplateGeneration int64 `json:"templateGeneration,omitempty"`
	// drift are the fields that somebody in the member changed and that are not put
	// right for now. At most 20.
	// +optional
	// +listType=atomic
	Drift []FieldDrift `json:"drift,omitempty"`
	// unschedulable are the Pods of the object that the member finds no node for.
	// Nil when there are none, and for kinds whose Pods are not known.
	// +optional
	Unschedulable *UnschedulablePods `json:"unschedulable,omitempty"`
}

// WorkFeedbackStatus is the answer to a report.
type WorkFeedbackStatus struct {
	// results has one item per item of the report, in the same order.
	// +optional
	// +listType=atomic
	Results []FeedbackResult `json:"results,omitempty"`
}

// Reasons of a FeedbackResult.
const (
	// FeedbackAccepted says that the report is durable.
	FeedbackAccepted = "Accepted"
	// FeedbackNotFound says that there is no such work, so nothing to report on.
	FeedbackNotFound = "NotFound"
	// FeedbackStale says that the report is about an earlier template.
	FeedbackStale = "Stale"
	// FeedbackFailed says that the report could not be written; send it again.
	FeedbackFailed = "Failed"
)

// FeedbackResult is the answer to one item.
type FeedbackResult struct {
	// name of the work.
	Name string `json:"name"`
	// accepted says whether the report is durable. One that is not is dropped,
	// unless the reason is Failed, which asks to send it again.
	Accepted bool `json:"accepted"`
	// reason is a CamelCase word: Accepted, NotFound, Stale or Failed.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message says more, for people.
	// +optional
	Message string `json:"message,omitempty"`
}
