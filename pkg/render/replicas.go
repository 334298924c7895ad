// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
)

// replicaFields says where the number of replicas of a native workload is. A Job
// without parallelism is left without.
var replicaFields = map[schema.GroupKind]struct {
	field      string
	onlyIfSet  bool
	autoDivide bool // divided when no policy says more
}{
	{Group: "apps", Kind: "Deployment"}:  {field: "replicas", autoDivide: true},
	{Group: "apps", Kind: "ReplicaSet"}:  {field: "replicas", autoDivide: true},
	{Group: "apps", Kind: "StatefulSet"}: {field: "replicas"},
	{Group: "batch", Kind: "Job"}:        {field: "parallelism", onlyIfSet: true},
	{Kind: "ReplicationController"}:      {field: "replicas"},
}

// replicasFor returns the replicas the member is to run, and false when the
// manifest keeps the number of the template. That is so for kinds without
// replicas and for duplicated ones, whose entries say 0. Those that are to leave
// the member, but have not yet, come on top.
//
// A divided template never falls back to its own number: while a scale-up from
// zero waits for the scheduler, every member would start all of it.
func replicasFor(template *Template, spec *workv1alpha1.BindingSpec, target target) (int64, bool) {
	if _, ok := replicaFields[template.kind]; !ok && spec.ReplicaRevision == "" {
		return 0, false
	}
	leaving, all := leavingReplicas(target)
	switch {
	case target.entry == nil:
		return leaving, len(target.evictions) > 0 && !all
	case target.entry.Replicas > 0 || divides(spec, template.kind):
		return int64(target.entry.Replicas) + leaving, true
	default:
		return 0, false
	}
}

// leavingReplicas returns how many replicas are to leave a member; all says that
// some task does not say how many.
func leavingReplicas(target target) (n int64, all bool) {
	for _, task := range target.evictions {
		if task.Replicas == nil {
			all = true
			continue
		}
		n += int64(*task.Replicas)
	}
	return n, all
}

// divides says whether the members share the replicas: a decision that gave any
// member a share did, and so does a placement that asks for it.
func divides(spec *workv1alpha1.BindingSpec, kind schema.GroupKind) bool {
	for i := range spec.Clusters {
		if spec.Clusters[i].Replicas > 0 {
			return true
		}
	}
	switch placement := spec.Placement; {
	case placement == nil:
		return false
	case placement.Auto != nil:
		return replicaFields[kind].autoDivide || spec.ReplicaRevision != ""
	case placement.ReplicaScheduling == nil:
		return false
	default:
		return placement.ReplicaScheduling.ReplicaSchedulingType != policyv1alpha1.Duplicated
	}
}

// withReplicas returns the object with the replicas of a member: where the kind has
// them, or as the expression for it says. It may change the object.
func withReplicas(object map[string]any, kind schema.GroupKind, expression string, replicas int64) (map[string]any, error) {
	if _, ok := replicaFields[kind]; ok {
		setReplicas(object, kind, replicas)
		return object, nil
	}
	revised, err := interpreter.Revise(expression, &unstructured.Unstructured{Object: object}, replicas)
	if err != nil {
		return nil, err
	}
	return revised.Object, nil
}

func setReplicas(object map[string]any, kind schema.GroupKind, replicas int64) {
	where := replicaFields[kind]
	workload := mapAt(object, "spec")
	if _, set := workload[where.field]; workload == nil || where.onlyIfSet && !set {
		return
	}
	workload[where.field] = replicas
}
