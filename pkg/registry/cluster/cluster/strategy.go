// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/cluster/validation"
	"fleet.dev/fleet/pkg/registry/resource"
)

func newStrategy(typer runtime.ObjectTyper, clock clock.PassiveClock) resource.Strategy[*cluster.Cluster] {
	return resource.Strategy[*cluster.Cluster]{
		ObjectTyper:   typer,
		NameGenerator: names.SimpleNameGenerator,
		GroupVersion:  clusterv1alpha1.SchemeGroupVersion,
		Spec:          func(c *cluster.Cluster) any { return c.Spec },
		ResetStatus: func(c, old *cluster.Cluster) {
			c.Status = cluster.ClusterStatus{}
			if old != nil {
				c.Status = old.Status
			}
		},
		Prepare: func(c, old *cluster.Cluster) {
			var before []corev1.Taint
			if old != nil {
				before = old.Spec.Taints
			}
			stampTaints(c.Spec.Taints, before, clock.Now())
		},
		Check:       validation.ValidateCluster,
		CheckUpdate: validation.ValidateClusterUpdate,
		Warn:        warnings,
	}
}

func newStatusStrategy(strategy resource.Strategy[*cluster.Cluster]) resource.StatusStrategy[*cluster.Cluster] {
	return resource.StatusStrategy[*cluster.Cluster]{
		Strategy:    strategy,
		KeepSpec:    func(c, old *cluster.Cluster) { c.Spec = old.Spec },
		CheckStatus: validation.ValidateClusterStatusUpdate,
	}
}

// stampTaints says of each taint that evicts since when it is there, from which
// the time it is tolerated counts. A writer who leaves that out, as one who
// applies a manifest does, does not make the taint younger.
func stampTaints(taints, before []corev1.Taint, now time.Time) {
	for i := range taints {
		taint := &taints[i]
		if taint.Effect != corev1.TaintEffectNoExecute || taint.TimeAdded != nil {
			continue
		}
		added := metav1.NewTime(now).Rfc3339Copy()
		for _, known := range before {
			if known.MatchTaint(taint) && known.Value == taint.Value && known.TimeAdded != nil {
				added = *known.TimeAdded
			}
		}
		taint.TimeAdded = &added
	}
}

// warnings names the parts of a spec that are deprecated or have no effect.
func warnings(c *cluster.Cluster) []string {
	path := field.NewPath("spec")
	var found []string
	if c.Spec.Zone != "" {
		found = append(found, fmt.Sprintf("%s: deprecated; use %s", path.Child("zone"), path.Child("zones")))
	}
	if c.Spec.Accepted && c.Spec.SyncMode == cluster.Push {
		found = append(found, fmt.Sprintf("%s: ignored with syncMode Push", path.Child("accepted")))
	}
	return found
}
