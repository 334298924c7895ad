// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/apis/work"
	"fleet.dev/fleet/pkg/registry/table"
)

var columns = []table.Column{
	{Name: "Kind", Description: "Kind of the template."},
	{Name: "Template", Description: "Name of the template."},
	{Name: "Clusters", Description: "The first members and how many replicas each runs; members with a minus are being cleaned up."},
	{Name: "Scheduled", Description: "Whether the scheduler has decided; otherwise why not."},
	{Name: "Applied", Description: "Members that have taken the object / members decided upon."},
	{Name: "Policy", Description: "Policy that placed the template.", Wide: true},
}

func cells(b work.Binding) []any {
	spec, status := b.GetSpec(), b.GetStatus()
	return []any{
		spec.Resource.Kind, spec.Resource.Name, members(spec), scheduled(status),
		fmt.Sprintf("%d/%d", applied(spec, status), len(spec.Clusters)), policyOf(spec),
	}
}

// members lists those decided upon and those being cleaned up, each shortened on
// its own, so that a cleanup is not hidden behind many members.
func members(spec *work.BindingSpec) string {
	var placed, leaving []string
	for _, target := range spec.Clusters {
		text := target.Name
		if target.Replicas > 0 {
			text = fmt.Sprintf("%s=%d", target.Name, target.Replicas)
		}
		placed = append(placed, text)
	}
	for _, tombstone := range spec.Tombstones {
		leaving = append(leaving, "-"+tombstone.ClusterName)
	}
	var parts []string
	for _, names := range [][]string{placed, leaving} {
		if len(names) > 0 {
			parts = append(parts, table.List(names))
		}
	}
	return table.Text(strings.Join(parts, ","))
}

func scheduled(status *work.BindingStatus) string {
	condition := meta.FindStatusCondition(status.Conditions, work.ConditionScheduled)
	switch {
	case condition == nil:
		return table.Unknown
	case condition.Status == metav1.ConditionTrue:
		return string(condition.Status)
	default:
		return condition.Reason
	}
}

// applied counts the members decided upon that have the object; one that is
// leaving may have it too.
func applied(spec *work.BindingSpec, status *work.BindingStatus) int {
	has := sets.New[string]()
	for _, item := range status.AggregatedStatus {
		if item.Applied {
			has.Insert(item.ClusterName)
		}
	}
	count := 0
	for _, target := range spec.Clusters {
		if has.Has(target.Name) {
			count++
		}
	}
	return count
}

func policyOf(spec *work.BindingSpec) string {
	if spec.Policy == nil {
		return table.None
	}
	return strings.TrimPrefix(spec.Policy.Namespace+"/"+spec.Policy.Name, "/")
}
