// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/apis/work"
)

const (
	maxFeedbackItems  = 5000
	maxAppliedMessage = 32 * 1024
)

// ValidateWorkStatusUpdate validates a reported status of a work. The rest of a
// work cannot be written, so it is not looked at.
func ValidateWorkStatusUpdate(w *work.Work) field.ErrorList {
	path := field.NewPath("status")
	errs := metav1validation.ValidateConditions(w.Status.Conditions, path.Child("conditions"))
	path = path.Child("manifestStatuses")
	if len(w.Status.ManifestStatuses) > 1 {
		errs = append(errs, field.TooMany(path, len(w.Status.ManifestStatuses), 1))
	}
	for i, manifest := range w.Status.ManifestStatuses {
		errs = append(errs, validateHealth(manifest.Health, path.Index(i).Child("health"))...)
	}
	return errs
}

// ValidateWorkFeedback validates a report. It asks for what the receiver cannot do
// without; a report about a work that is gone is answered in the results.
func ValidateWorkFeedback(feedback *work.WorkFeedback) field.ErrorList {
	var errs field.ErrorList
	if _, ok := clusterv1alpha1.ClusterOfNamespace(feedback.Namespace); !ok {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "namespace"), feedback.Namespace, "must be the namespace of a member, fleet-cluster-<name>"))
	}
	path := field.NewPath("spec", "items")
	if len(feedback.Spec.Items) > maxFeedbackItems {
		return append(errs, field.TooMany(path, len(feedback.Spec.Items), maxFeedbackItems))
	}
	for i := range feedback.Spec.Items {
		item, where := &feedback.Spec.Items[i], path.Index(i)
		errs = append(errs, fieldcheck.Subdomain(item.Name, where.Child("name"))...)
		errs = append(errs, fieldcheck.Required(item.TemplateUID, where.Child("templateUID"))...)
		errs = append(errs, validateHealth(item.Health, where.Child("health"))...)
		errs = append(errs, fieldcheck.MaxLength(item.AppliedMessage, maxAppliedMessage, where.Child("appliedMessage"))...)
		errs = append(errs, validateUnschedulable(item.Unschedulable, where.Child("unschedulable"))...)
	}
	return errs
}

func validateUnschedulable(pods *work.UnschedulablePods, path *field.Path) field.ErrorList {
	if pods == nil {
		return nil
	}
	errs := fieldcheck.NotLess(pods.Count, 1, path.Child("count"))
	if pods.Since.IsZero() {
		errs = append(errs, field.Required(path.Child("since"), "the time from which on there were so many"))
	}
	return errs
}
