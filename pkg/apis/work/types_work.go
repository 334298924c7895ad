// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/apis/policy"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Work is one template in one member, as the member's syncer is told to apply
// it. It lives in the namespace fleet-cluster-<member>. It is rendered from
// template and binding when it is read and never stored; only its status can be
// written, by the syncer.
type Work struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   WorkSpec
	Status WorkStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkList is a list of Works.
type WorkList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Work
}

// WorkSpec is what a syncer does with one object.
type WorkSpec struct {
	Workload                    WorkloadTemplate
	SuspendDispatching          *bool
	PreserveResourcesOnDeletion *bool
	ConflictResolution          policy.ConflictResolution
	RecreatePolicy              policy.RecreatePolicy
	Template                    TemplateReference
	Binding                     BindingReference
	Deleted                     bool
	Orphan                      bool
	Finished                    bool
	ContentHash                 string
}

// WorkloadTemplate holds the object.
type WorkloadTemplate struct {
	Manifests []runtime.RawExtension
}

// TemplateReference names the template of a work.
type TemplateReference struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
	UID        types.UID
	Generation int64
}

// BindingReference names the binding of a work.
type BindingReference struct {
	Namespace  string
	Name       string
	UID        types.UID
	Generation int64
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
	// AppliedReasonForbidden says that the member does not let the fleet write
	// the object.
	AppliedReasonForbidden = "Forbidden"
	// AppliedReasonKindNotServed says that the member does not serve the kind.
	AppliedReasonKindNotServed = "KindNotServed"
	// AppliedReasonSuspended says that the work is held back.
	AppliedReasonSuspended = "Suspended"
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
	Conditions         []metav1.Condition
	ManifestStatuses   []ManifestStatus
	ContentHash        string
	TemplateGeneration int64
	MemberGeneration   int64
	Deleted            bool
}

// ManifestStatus is the state of the object in the member.
type ManifestStatus struct {
	Identifier ResourceIdentifier
	Status     *runtime.RawExtension
	Health     ResourceHealth
}

// ResourceIdentifier names an object in a member.
type ResourceIdentifier struct {
	Ordinal   int32
	Group     string
	Version   string
	Kind      string
	Resource  string
	Namespace string
	Name      string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkFeedback carries what a syncer reports about many works of its member in
// one request. It is created in the namespace fleet-cluster-<member> and not
// stored; the answer comes when the reports are durable in the bindings' status.
type WorkFeedback struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   WorkFeedbackSpec
	Status WorkFeedbackStatus
}

// WorkFeedbackSpec is the report.
type WorkFeedbackSpec struct {
	Items []FeedbackItem
}

// FeedbackItem is the report about one work. It replaces the one before.
type FeedbackItem struct {
	Name               string
	TemplateUID        types.UID
	BindingGeneration  int64
	ContentHash        string
	Applied            bool
	AppliedReason      string
	AppliedMessage     string
	Deleted            bool
	Health             ResourceHealth
	Status             *runtime.RawExtension
	MemberGeneration   int64
	TemplateGeneration int64
	Drift              []FieldDrift
	Unschedulable      *UnschedulablePods
}

// WorkFeedbackStatus is the answer to a report.
type WorkFeedbackStatus struct {
	Results []FeedbackResult
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
	Name     string
	Accepted bool
	Reason   string
	Message  string
}
