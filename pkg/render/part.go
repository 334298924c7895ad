// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

var (
	statefulSets = schema.GroupKind{Group: "apps", Kind: "StatefulSet"}
	jobs         = schema.GroupKind{Group: "batch", Kind: "Job"}
)

// part is what a member has of something that is counted through in the order of
// spec.clusters: the Pods of a StatefulSet, the completions of a Job.
type part struct {
	start       int64 // number of the first replica
	completions int64 // of a Job
	complete    bool  // completions is to be set
}

// partFor returns the part of a member that shares the replicas with others.
func partFor(template *Template, spec *workv1alpha1.BindingSpec, target target) part {
	if target.entry == nil || template.kind != statefulSets && template.kind != jobs {
		return part{}
	}
	var before, all int64
	for i := range spec.Clusters {
		cluster := &spec.Clusters[i]
		if cluster == target.entry {
			before = all
		}
		all += int64(cluster.Replicas)
	}
	if template.kind == statefulSets {
		return part{start: before}
	}
	completions, set := mapAt(template.object, "spec")["completions"].(int64)
	if !set || all == 0 {
		return part{}
	}
	end := before + int64(target.entry.Replicas)
	return part{complete: true, completions: portion(completions, end, all) - portion(completions, before, all)}
}

// portion is completions*n/all, rounded down, without leaving 64 bits.
func portion(completions, n, all int64) int64 {
	return completions/all*n + completions%all*n/all
}

// setPart makes the object the part of one member. The Pods of a StatefulSet are
// numbered from where those of the member before end, so that no two members have
// Pods of the same name.
func setPart(object map[string]any, kind schema.GroupKind, part part) {
	spec := mapAt(object, "spec")
	switch {
	case spec == nil:
	case part.complete:
		spec["completions"] = part.completions
	case kind == statefulSets && part.start > 0:
		ordinals := mapAt(spec, "ordinals")
		if ordinals == nil {
			ordinals = map[string]any{}
			spec["ordinals"] = ordinals
		}
		first, _ := ordinals["start"].(int64)
		ordinals["start"] = first + part.start
	}
}
