// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleet.dev/fleet/pkg/interpreter"
)

// interpreted is the rule of kinds without a row: what a customization makes of the
// statuses of the members, and asIs when there is none. Observed generations are
// brought from the members' numbering to the template's before. While no member has
// a status, and when the answer has no field, the template's status stays.
func interpreted(by *interpreter.Interpreter) rule {
	return func(template *unstructured.Unstructured, members []Member, now metav1.Time) (map[string]any, error) {
		if !slices.ContainsFunc(members, func(m Member) bool { return len(m.Status) > 0 }) {
			return asIs(template, members, now)
		}
		observed := observedGeneration(template, members)
		var reported []interpreter.MemberStatus
		for _, member := range members {
			reported = append(reported, interpreter.MemberStatus{
				Cluster: member.Cluster, Status: renumbered(member.Status, observed), Health: string(member.Health),
			})
		}
		status, ok, err := by.Aggregate(template, reported)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return asIs(template, members, now)
		case len(status) == 0:
			old, _, err := unstructured.NestedMap(template.Object, "status")
			return old, err
		default:
			return status, nil
		}
	}
}
