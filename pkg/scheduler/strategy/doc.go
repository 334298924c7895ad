// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package strategy turns what a user asked for, or did not ask for, into one
// framework.Strategy: the placement of a policy as it says, the placement auto by
// the kind of the template, and the hints in annotations on top of auto.
//
// # Automatic placement
//
//   - Deployments, ReplicaSets and ReplicationControllers are divided by free
//     capacity; when their Pods mount a PersistentVolumeClaim they go to one member
//     instead, where the volume is. StatefulSets go to one member.
//   - Jobs, CronJobs and bare Pods go to one member, once. One that ran to its end
//     is never run again elsewhere.
//   - DaemonSets, CustomResourceDefinitions and cluster-scoped configuration go
//     to every member.
//   - A PersistentVolumeClaim goes where the Pods that mount it are, and nowhere
//     before: storage costs.
//   - Namespaced configuration goes to the footprint of its namespace, the members
//     where it has workloads, and is not placed before there is one. It stays
//     where it is when the footprint shrinks: a workload that moves away for a
//     moment must find it on return, and what is left over does no harm.
//   - Custom resources do the same, but go everywhere while there is no
//     footprint: the operator that reads them may come from elsewhere.
//   - A Namespace goes where anything in it goes.
//
// The package is pure. What it cannot honour it refuses with an error; no part of
// a policy is silently left out.
package strategy
