// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster is the controller of the members' lifecycle. For every
// Cluster it
//
//   - keeps the member's namespace fleet-cluster-<name>, in which lease,
//     credentials and served works live, and lets the push syncer read the
//     credentials there;
//   - says Ready=Unknown when nobody has renewed the member's lease for
//     LeaseGrace, and keeps the taints not-ready and unreachable in step with
//     the condition Ready, so that nothing new is placed there. A taint comes at
//     once; it goes at once after a first loss, and later the more often a member
//     was lost in the last ten minutes (history.go);
//   - records Events about all of that, each once;
//   - on deletion, which a finalizer holds back, takes the member out of every
//     binding, waits until the member has confirmed every tombstone, and removes
//     the namespace.
//
// It does not talk to members and does not decide where templates go instead.
// What a member does not confirm is waited for, with two exceptions (abandon.go):
// a Cluster with the annotation fleet.dev/unjoin-force goes without its member's
// word, which an Event says, and tombstones of a Cluster that does not exist, by a
// live read, are taken away. It is run by package manager.
//
// # One writer per field
//
// The syncer writes Ready=True and Ready=False; this controller writes
// Ready=Unknown, the condition Unjoining, the finalizer, and the taints of
// cluster.fleet.dev with effect NoSchedule, but for the one of "fleet cordon". In
// bindings it removes a deleted Cluster, by the subresource tombstones what nobody
// will confirm, and nothing else.
//
// # Caches and locks
//
// Decisions are made on informers, which hold Clusters and bindings without the
// parts that are not read here (see Trim); a write re-reads the object and
// decides again on what it read. Bindings are found by an index of the members
// they touch; before the namespace of a member goes, with which its tombstones
// would be lost, they are listed once more from the server. The locks guard the
// times of the last heartbeats and of the last losses, which a restart forgets in
// the member's favour, and are never held over a call.
package cluster
