// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkloadRebalancer asks, once, to decide anew about workloads, regardless of
// where their replicas are: after members came or were repaired, for example.
// Without one the scheduler moves nothing that runs well.
type WorkloadRebalancer struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to decide anew about.
	Spec WorkloadRebalancerSpec `json:"spec"`
	// status is what became of it.
	// +optional
	Status WorkloadRebalancerStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkloadRebalancerList is a list of WorkloadRebalancers.
type WorkloadRebalancerList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the WorkloadRebalancers.
	Items []WorkloadRebalancer `json:"items"`
}

// WorkloadRebalancerSpec says what to decide anew about.
type WorkloadRebalancerSpec struct {
	// workloads to decide anew about, 1 to 1000. Those that are added later are
	// decided about then; a workload is decided about once.
	// +listType=atomic
	Workloads []ObjectReference `json:"workloads"`

	// ttlSecondsAfterFinished is after how many seconds a WorkloadRebalancer that
	// finished is deleted. Nil never deletes it, 0 at once. Not negative.
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// ObjectReference names a template.
type ObjectReference struct {
	// apiVersion of the template, for example apps/v1.
	APIVersion string `json:"apiVersion"`
	// kind of the template, for example Deployment.
	Kind string `json:"kind"`
	// namespace of the template, empty for a cluster-scoped one.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the template.
	Name string `json:"name"`
}

// WorkloadRebalancerStatus is what became of it.
type WorkloadRebalancerStatus struct {
	// observedWorkloads is what became of each workload, in the order of the spec.
	// +optional
	// +listType=atomic
	ObservedWorkloads []ObservedWorkload `json:"observedWorkloads,omitempty"`

	// observedGeneration is the generation of the spec the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// finishTime is when the last workload had a result. Nil while one has none.
	// +optional
	FinishTime *metav1.Time `json:"finishTime,omitempty"`
}

// RebalanceResult is what became of one workload.
// +enum
type RebalanceResult string

const (
	// RebalanceSuccessful says that the scheduler decided anew; that may be for
	// the members there were.
	RebalanceSuccessful RebalanceResult = "Successful"
	// RebalanceFailed says that it did not.
	RebalanceFailed RebalanceResult = "Failed"
)

// Reasons of a result Failed. Others are those of a binding's condition
// Scheduled: the workload is decided anew when that can be done, whatever becomes
// of the WorkloadRebalancer.
const (
	// RebalanceBindingNotFound says that the workload has no binding: it does not
	// exist, or is not to be placed.
	RebalanceBindingNotFound = "ReferencedBindingNotFound"
	// RebalanceSuspended says that the scheduling of the workload is suspended.
	RebalanceSuspended = "SchedulingSuspended"
)

// ObservedWorkload is what became of one workload.
type ObservedWorkload struct {
	// workload as in the spec.
	Workload ObjectReference `json:"workload"`
	// result is Successful or Failed. Empty while the scheduler has not decided.
	// +optional
	Result RebalanceResult `json:"result,omitempty"`
	// reason is a CamelCase word for why it failed.
	// +optional
	Reason string `json:"reason,omitempty"`
}
