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

// part is what a member has of numbers that are about all replicas: the Pods of a
// StatefulSet and the completions of a Job, which are counted through in the order
// of spec.clusters, and how many replicas a rolling update may touch at a time.
type part struct {
	start       int64 // number of the first replica
	completions int64 // of a Job
	complete    bool  // completions is to be set
	rolling     rolling
}

// span is where the replicas of a member are among those of all: from before to end
// of all.
type span struct{ before, end, all int64 }

// spanOf returns the span of the target. Replicas that are only still to leave
// their member have an empty one behind all others.
func spanOf(spec *workv1alpha1.BindingSpec, target target) span {
	var s span
	found := false
	for i := range spec.Clusters {
		cluster := &spec.Clusters[i]
		if cluster == target.entry {
			s.before, s.end, found = s.all, s.all+int64(cluster.Replicas), true
		}
		s.all += int64(cluster.Replicas)
	}
	if !found {
		s.before, s.end = s.all, s.all
	}
	return s
}

// of returns the share of n, so that those of all members together are n.
func (s span) of(n int64) int64 {
	if s.all == 0 {
		return 0
	}
	return portion(n, s.end, s.all) - portion(n, s.before, s.all)
}

// partFor returns the part of a member that shares the replicas with others.
func partFor(template *Template, spec *workv1alpha1.BindingSpec, target target) part {
	span := spanOf(spec, target)
	out := part{rolling: rollingFor(template, span)}
	switch {
	case target.entry == nil:
	case template.kind == statefulSets:
		out.start = span.before
	case template.kind == jobs && span.all > 0:
		if completions, set := mapAt(template.object, "spec")["completions"].(int64); set {
			out.complete, out.completions = true, span.of(completions)
		}
	}
	return out
}

// portion is whole*n/all, rounded down, without leaving 64 bits.
func portion(whole, n, all int64) int64 {
	return whole/all*n + whole%all*n/all
}

// setPart makes the object the part of one member. The Pods of a StatefulSet are
// numbered from where those of the member before end, so that no two members have
// Pods of the same name.
func setPart(object map[string]any, kind schema.GroupKind, part part) {
	spec := mapAt(object, "spec")
	part.rolling.set(object, kind, part.start)
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
