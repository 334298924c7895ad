// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Jobs are those that members made of the fleet's CronJobs.
func Jobs(templates Templates) Kind {
	return Kind{
		Resource:   batchv1.SchemeGroupVersion.WithResource("jobs"),
		Kind:       jobKind.Kind,
		Namespaced: true,
		Selector:   "!" + wellknown.LabelManagedBy,
		References: templateReferences(templates),
		New:        func() runtime.Object { return &batchv1.Job{} },
		NewList:    func() runtime.Object { return &batchv1.JobList{} },
		Project: func(_ string, object runtime.Object) bool {
			job, ok := object.(*batchv1.Job)
			if !ok || isCopy(job) {
				return false
			}
			owner := metav1.GetControllerOfNoCopy(job) // the fleet's, if it is
			return owner != nil && groupKindOf(owner) == cronJobKind
		},
		Confirm: confirmJob(templates),
		Own: func(before, after runtime.Object) error {
			old, ok := before.(*batchv1.Job)
			updated, isJob := after.(*batchv1.Job)
			if !ok || !isJob {
				return errors.New("the object is no Job")
			}
			return ownMetadata(old, updated)
		},
	}
}

func groupKindOf(owner *metav1.OwnerReference) schema.GroupKind {
	return schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
}

// jobReferences shows that a Pod belongs to a Job which a CronJob of the fleet made: that
// Job is shown with the uid it has in the member. Other owners have other keys there than
// in the fleet; see podOwner.
func jobReferences(templates Templates) func(string, metav1.Object, []metav1.OwnerReference) []metav1.OwnerReference {
	return func(member string, object metav1.Object, owners []metav1.OwnerReference) []metav1.OwnerReference {
		var shown []metav1.OwnerReference
		for i := range owners {
			if jobOfCronJob(member, object.GetNamespace(), &owners[i], templates) {
				owner := owners[i]
				owner.BlockOwnerDeletion = nil
				shown = append(shown, owner)
			}
		}
		return shown
	}
}

// jobOfCronJob says whether an owner is a Job that a CronJob of the fleet made.
func jobOfCronJob(member, namespace string, owner *metav1.OwnerReference, templates Templates) bool {
	if groupKindOf(owner) != jobKind {
		return false
	}
	if _, stored := templates.Template(member, jobKind, namespace, owner.Name); stored {
		return false
	}
	return madeOfFleets(member, jobKind, namespace, owner.Name, templates)
}
