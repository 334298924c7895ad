// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apps

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkloadRebalancer asks, once, to decide anew about workloads, regardless of
// where their replicas are.
type WorkloadRebalancer struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   WorkloadRebalancerSpec
	Status WorkloadRebalancerStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkloadRebalancerList is a list of WorkloadRebalancers.
type WorkloadRebalancerList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []WorkloadRebalancer
}

// WorkloadRebalancerSpec says what to decide anew about.
type WorkloadRebalancerSpec struct {
	Workloads               []ObjectReference
	TTLSecondsAfterFinished *int32
}

// ObjectReference names a template.
type ObjectReference struct {
	APIVersion string
	Kind       string
	Namespace  string
	Name       string
}

// WorkloadRebalancerStatus is what became of it.
type WorkloadRebalancerStatus struct {
	ObservedWorkloads  []ObservedWorkload
	ObservedGeneration int64
	FinishTime         *metav1.Time
}

// RebalanceResult is what became of one workload.
type RebalanceResult string

const (
	// RebalanceSuccessful says that the scheduler decided anew.
	RebalanceSuccessful RebalanceResult = "Successful"
	// RebalanceFailed says that it did not.
	RebalanceFailed RebalanceResult = "Failed"
)

// ObservedWorkload is what became of one workload.
type ObservedWorkload struct {
	Workload ObjectReference
	Result   RebalanceResult
	Reason   string
}
