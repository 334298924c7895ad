// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"strings"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/work"
	"fleet.dev/fleet/pkg/registry/table"
)

var columns = []table.Column{
	{Name: "Member", Description: "Member the work is for."},
	{Name: "Kind", Description: "Kind of the object in the member."},
	{Name: "Template", Description: "Template the work is rendered from, namespace/name."},
	{Name: "Delete", Description: "Whether the work says to delete or release the object in the member."},
	{Name: "Hash", Description: "Hash of the manifest.", Wide: true},
}

func cells(w *work.Work) []any {
	member, ok := clusterv1alpha1.ClusterOfNamespace(w.Namespace)
	if !ok {
		member = table.Unknown
	}
	template := strings.TrimPrefix(w.Spec.Template.Namespace+"/"+w.Spec.Template.Name, "/")
	return []any{member, w.Spec.Template.Kind, template, deletion(w), w.Spec.ContentHash}
}

func deletion(w *work.Work) string {
	switch {
	case w.Spec.Deleted && w.Spec.Orphan:
		return "Release"
	case w.Spec.Deleted:
		return "Yes"
	default:
		return "No"
	}
}
