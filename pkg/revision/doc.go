// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package revision decides which ReplicaSets and ControllerRevisions the fleet keeps
// as records of its workloads' Pod templates, so that "kubectl rollout history"
// and "undo", "kubectl describe" and Helm find what they find in a cluster.
//
// Nobody runs these ReplicaSets. Each member's own Deployment controller makes
// ReplicaSets there, and Pods of them; the records say what all of these amount to:
//
//   - one ReplicaSet for each Pod template a Deployment has had, with the numbers
//     that are in the Deployment's status;
//   - one ControllerRevision for each that a StatefulSet or DaemonSet has had.
//
// The rules are those of k8s.io/kubernetes/pkg/controller/{deployment,statefulset,daemon}
// with one difference: members move Pods from one revision to the next, so the
// ReplicaSet of the current revision asks for all replicas at once and those
// before keep their number until the rollout is over.
//
// Names are made from the hash of the Pod template as members get it, by upstream's
// functions. A member of the same version whose copy no override changes gives its
// ReplicaSet the same name, and its Pods the same labels.
//
// The package is pure: objects in, objects out. What it is given it does not
// change, lists may be sorted. pkg/controllers/revisions writes what it says.
package revision
