// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placementpreview

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler"
)

var namespaceKind = corev1.SchemeGroupVersion.WithKind("Namespace")

// maxNamed is how many members a warning names.
const maxNamed = 20

// describe says for people where an object would be placed.
func describe(e *scheduler.Explanation) string {
	if len(e.Clusters) == 0 {
		return "placement: on no member: " + e.Why
	}
	text := "placement: on " + members(e.Clusters)
	if by := follows(e); by != "" {
		text += ", by " + by
	}
	if e.Why != "" {
		// What is placed stays, though nothing better was found.
		text += "; unchanged: " + e.Why
	}
	return text
}

func members(clusters []workv1alpha1.TargetCluster) string {
	names := make([]string, 0, maxNamed+1)
	for _, cluster := range clusters[:min(len(clusters), maxNamed)] {
		name := cluster.Name
		switch cluster.Replicas {
		case 0:
		case 1:
			name += " (1 replica)"
		default:
			name += fmt.Sprintf(" (%d replicas)", cluster.Replicas)
		}
		names = append(names, name)
	}
	if more := len(clusters) - maxNamed; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// follows names the policy the object would follow.
func follows(e *scheduler.Explanation) string {
	for _, policy := range e.Policies {
		switch {
		case !policy.Follows:
		case policy.Namespace == "":
			return "ClusterPropagationPolicy " + policy.Name
		default:
			return "PropagationPolicy " + policy.Name
		}
	}
	return ""
}

// unknown says that there is no preview.
func unknown(err error) string { return "placement: not known: " + err.Error() }
