// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package capacity answers how many replicas of a Pod a member still has room
// for, from the summary its syncer keeps in Cluster.status.capacity.
//
// The summary lists what is free node by node without naming nodes, so the answer
// is exact for one workload as far as requests, node selectors, required node
// affinity, taints, host ports and the ResourceQuotas of its namespace go, and for
// one hard topology spread constraint or required (anti-)affinity of the Pods to
// each other. Where several of those are combined, it is the least of what each
// allows.
//
// # What a summary does not tell
//
//   - Names of nodes: a Pod that asks for a host name has as much room as the best
//     node.
//   - Which nodes and zones run Pods of the workload already. That counts for
//     (anti-)affinity and spread of replicas that are added, and is taken in their
//     favour; Pods that then find no node are seen, and moved, later.
//   - Pods of others that a Pod wants to be near to, or far from, and those that
//     want to be far from it.
//
// # Promises
//
// What was decided upon but is not in the report of the member yet is put on its
// nodes as its kube-scheduler would: apart from each other, on the roomiest nodes
// first (Summary.Take). What is left then is likely (Summary.Room); where nothing may
// wait in members, what is left wherever the Pods go counts (Summary.Certain).
//
// The package is pure; summaries and demands are immutable once made.
package capacity
