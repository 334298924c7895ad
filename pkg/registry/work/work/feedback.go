// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"k8s.io/apimachinery/pkg/api/meta"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// feedbackItem says in one item what the status of a work says.
func feedbackItem(reported *work.Work) (workv1alpha1.FeedbackItem, error) {
	status := reported.Status
	item := workv1alpha1.FeedbackItem{
		Name:               reported.Name,
		TemplateUID:        reported.Spec.Template.UID,
		BindingGeneration:  reported.Spec.Binding.Generation,
		ContentHash:        status.ContentHash,
		Deleted:            status.Deleted,
		MemberGeneration:   status.MemberGeneration,
		TemplateGeneration: status.TemplateGeneration,
		Health:             workv1alpha1.ResourceUnknown,
	}
	if applied := meta.FindStatusCondition(status.Conditions, workv1alpha1.WorkApplied); applied != nil {
		item.Applied = applied.Status == "True"
		item.AppliedReason = applied.Reason
		item.AppliedMessage = applied.Message
	}
	for _, manifest := range status.ManifestStatuses {
		if manifest.Health != "" {
			item.Health = workv1alpha1.ResourceHealth(manifest.Health)
		}
		if manifest.Status == nil {
			continue
		}
		external := &workv1alpha1.ManifestStatus{}
		if err := workv1alpha1.Convert_work_ManifestStatus_To_v1alpha1_ManifestStatus(&manifest, external, nil); err != nil {
			return item, err
		}
		item.Status = external.Status
	}
	return item, nil
}
