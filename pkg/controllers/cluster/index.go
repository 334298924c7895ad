// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// byCluster is the index of bindings by the members they touch.
const byCluster = "cluster"

// touched returns the members that hold, or may hold, an object of the binding.
func touched(spec *workv1alpha1.BindingSpec) sets.Set[string] {
	names := spec.Holders()
	for _, tombstone := range spec.Tombstones {
		names.Insert(tombstone.ClusterName)
	}
	return names
}

// indexByCluster is the index function of byCluster.
func indexByCluster(obj any) ([]string, error) {
	binding, ok := obj.(workv1alpha1.Binding)
	if !ok {
		return nil, fmt.Errorf("index bindings by cluster: expected a binding, got %T", obj)
	}
	return touched(binding.GetSpec()).UnsortedList(), nil
}

// answerOf is what the status of a binding says to whoever asked to decide anew,
// nothing when nobody did.
func answerOf(binding workv1alpha1.Binding) workv1alpha1.BindingStatus {
	if binding.GetSpec().RescheduleTriggeredAt == nil {
		return workv1alpha1.BindingStatus{}
	}
	status := binding.GetStatus()
	kept := workv1alpha1.BindingStatus{LastScheduledTime: status.LastScheduledTime}
	if condition := meta.FindStatusCondition(status.Conditions, workv1alpha1.ConditionScheduled); condition != nil {
		kept.Conditions = []metav1.Condition{*condition}
	}
	return kept
}

// Trim is the transform of the informers that New is given: it drops what the
// controllers of the fleet do not read, so that many bindings cost little.
func Trim(obj any) (any, error) {
	switch o := obj.(type) {
	case workv1alpha1.Binding:
		o.SetManagedFields(nil)
		spec, resource := o.GetSpec(), workv1alpha1.ObjectReference{UID: o.GetSpec().Resource.UID}
		if template, waits := o.GetAnnotations()[wellknown.AnnotationForegroundTemplate]; waits {
			resource = spec.Resource
			o.SetAnnotations(map[string]string{wellknown.AnnotationForegroundTemplate: template})
		} else {
			o.SetAnnotations(nil)
		}
		*spec = workv1alpha1.BindingSpec{
			Resource:              resource,
			Clusters:              spec.Clusters,
			Tombstones:            spec.Tombstones,
			GracefulEvictionTasks: spec.GracefulEvictionTasks,
			RequiredBy:            spec.RequiredBy,
			Suspension:            spec.Suspension,
			RescheduleTriggeredAt: spec.RescheduleTriggeredAt,
		}
		*o.GetStatus() = answerOf(o)
	case *clusterv1alpha1.Cluster:
		o.SetManagedFields(nil)
		o.Status = clusterv1alpha1.ClusterStatus{Conditions: o.Status.Conditions}
	}
	return obj, nil
}
