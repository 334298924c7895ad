// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"fmt"
	"slices"
	"strings"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// noteFailures says of members that have no work why, and takes that back when
// they have. A member that has an earlier work keeps its own report: that work is
// still there.
func noteFailures(binding workv1alpha1.Binding, failures map[string]error) {
	spec, status := binding.GetSpec(), binding.GetStatus()
	status.AggregatedStatus = slices.DeleteFunc(status.AggregatedStatus, func(item workv1alpha1.AggregatedStatusItem) bool {
		return item.AppliedReason == workv1alpha1.AppliedReasonRenderFailed
	})
	for _, member := range targets(spec) {
		err := failureOf(failures, member.Name)
		if err == "" || buried(spec, member.Name) || reportOf(status, member.Name, spec.Resource.UID) != nil {
			continue
		}
		status.AggregatedStatus = append(status.AggregatedStatus, workv1alpha1.AggregatedStatusItem{
			ClusterName:    member.Name,
			AppliedReason:  workv1alpha1.AppliedReasonRenderFailed,
			AppliedMessage: err,
			Health:         workv1alpha1.ResourceUnknown,
			TemplateUID:    spec.Resource.UID,
		})
	}
}

// maxFailure bounds what is said of one member, in bytes.
const maxFailure = 1024

// failureOf says why a member has no work, nothing when it has.
func failureOf(failures map[string]error, member string) string {
	err := failures[member]
	if err == nil {
		err = failures[""]
	}
	if err == nil {
		return ""
	}
	const more = " ..."
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > maxFailure {
		text = strings.ToValidUTF8(text[:maxFailure-len(more)], "") + more
	}
	return text
}

// maxExplained is how many members a message gives the failure of.
const maxExplained = 3

// explained names the members without a work, and why the first few have none.
func explained(spec *workv1alpha1.BindingSpec, failures map[string]error) string {
	var texts []string
	more := 0
	for _, member := range targets(spec) {
		err := failureOf(failures, member.Name)
		switch {
		case err == "":
		case len(texts) < maxExplained:
			texts = append(texts, fmt.Sprintf("not rendered for %s: %s", member.Name, err))
		default:
			more++
		}
	}
	if more > 0 {
		texts = append(texts, fmt.Sprintf("not rendered for %d more", more))
	}
	return strings.Join(texts, "; ")
}
