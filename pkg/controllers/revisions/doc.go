// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package revisions is the controller that keeps the fleet's records of the Pod
// templates its workloads have had: a ReplicaSet for each of a Deployment, a
// ControllerRevision for each of a StatefulSet or DaemonSet. What they should be
// says package revision; here it is written.
//
//	Deployment ──► ReplicaSets ◄── kubectl rollout history, undo, describe; Helm; owners of projected Pods
//	StatefulSet, DaemonSet ──► ControllerRevisions ◄── the same
//
// Records are owned by their workload, so the garbage collector deletes them with
// it. They stay in the fleet: the scheduler takes no ReplicaSet that a Deployment
// owns, or that has the label fleet.dev/revision, which a record keeps when an
// orphaning deletion leaves it behind. A Deployment of that name adopts it again. Other
// ReplicaSets are templates of their own, and are never adopted.
//
// # Writes
//
// A new Pod template costs one creation, one write of its number to the Deployment and,
// when its rollout is over, one write of the status of its ReplicaSet, one of the spec
// and one of the status of the one before.
// A change of scale costs one write of the spec and one of the status. While a rollout
// goes on, numbers are written once a second at most; when nothing changes, nothing is.
// When many workloads change at once all of it waits for up to four seconds, so that they
// are placed first.
//
// # Concurrency
//
// Each workload is handled by one of several workers at a time. Objects from
// informers are copied before they are changed. A cache that is behind makes the API
// server answer AlreadyExists or Conflict; the next event brings the workload back.
package revisions
