// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster is the controller of the members' lifecycle. For every
// Cluster it
//
//   - keeps the member's namespace fleet-cluster-<name>, in which lease,
//     credentials and served works live;
//   - says Ready=Unknown when nobody has renewed the member's lease for
//     LeaseGrace, and keeps the taints not-ready and unreachable in step with
//     the condition Ready, so that nothing new is placed there;
//   - on deletion, which a finalizer holds back, takes the member out of every
//     binding, waits until the member has confirmed every tombstone, and removes
//     the namespace.
//
// It does not talk to members, does not decide where templates go instead, and
// never removes a tombstone: what a member does not confirm is waited for. It is
// run by package manager.
//
// # One writer per field
//
// The syncer writes Ready=True and Ready=False; this controller writes
// Ready=Unknown, the condition Unjoining, the finalizer, and the taints of
// cluster.fleet.dev with effect NoSchedule. In bindings it removes a deleted
// Cluster and nothing else.
//
// # Caches and locks
//
// Decisions are made on informers, which hold Clusters and bindings without the
// parts that are not read here (see Trim); a write re-reads the object and
// decides again on what it read. Bindings are found by an index of the members
// they touch. The only lock guards the times of the last heartbeats and is
// never held over a call.
package cluster
