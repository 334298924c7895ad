// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/apps"
	"fleet.dev/fleet/pkg/apis/fieldcheck"
)

// maxWorkloads keeps a status of all of them well below what the store takes.
const maxWorkloads = 1000

// ValidateWorkloadRebalancer validates a new object.
func ValidateWorkloadRebalancer(r *apps.WorkloadRebalancer) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMeta(&r.ObjectMeta, false, apimachineryvalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validateSpec(&r.Spec, field.NewPath("spec"))...)
}

// ValidateWorkloadRebalancerUpdate validates a changed object.
func ValidateWorkloadRebalancerUpdate(r, old *apps.WorkloadRebalancer) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaUpdate(&r.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, validateSpec(&r.Spec, field.NewPath("spec"))...)
}

func validateSpec(spec *apps.WorkloadRebalancerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.TTLSecondsAfterFinished != nil {
		errs = append(errs, fieldcheck.NotLess(*spec.TTLSecondsAfterFinished, 0, path.Child("ttlSecondsAfterFinished"))...)
	}
	path = path.Child("workloads")
	switch n := len(spec.Workloads); {
	case n == 0:
		return append(errs, field.Required(path, "at least one workload"))
	case n > maxWorkloads:
		return append(errs, field.TooMany(path, n, maxWorkloads))
	}
	for i, workload := range spec.Workloads {
		errs = append(errs, validateReference(workload, path.Index(i))...)
	}
	return append(errs, fieldcheck.Unique(spec.Workloads, path, fieldcheck.Itself[apps.ObjectReference])...)
}

func validateReference(r apps.ObjectReference, path *field.Path) field.ErrorList {
	errs := fieldcheck.GroupVersion(r.APIVersion, path.Child("apiVersion"))
	errs = append(errs, fieldcheck.Kind(r.Kind, path.Child("kind"))...)
	errs = append(errs, fieldcheck.ObjectName(r.Name, path.Child("name"))...)
	if r.Namespace != "" {
		errs = append(errs, fieldcheck.Namespace(r.Namespace, path.Child("namespace"))...)
	}
	return errs
}

// ValidateWorkloadRebalancerStatusUpdate validates a changed status.
func ValidateWorkloadRebalancerStatusUpdate(r, old *apps.WorkloadRebalancer) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaUpdate(&r.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	path := field.NewPath("status")
	errs = append(errs, fieldcheck.NotLess(r.Status.ObservedGeneration, 0, path.Child("observedGeneration"))...)
	for i, observed := range r.Status.ObservedWorkloads {
		errs = append(errs, fieldcheck.OptionalEnum(observed.Result, path.Child("observedWorkloads").Index(i).Child("result"),
			apps.RebalanceSuccessful, apps.RebalanceFailed)...)
	}
	return errs
}
