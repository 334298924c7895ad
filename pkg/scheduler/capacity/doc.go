// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package capacity answers how many replicas of a Pod a member still has room
// for, from the summary its syncer keeps in Cluster.status.capacity.
//
// The answer is exact as far as requests, node selectors, required node affinity
// and taints go: the summary lists what is free node by node, so fragmentation
// counts. Host names are not in the summary; a Pod that asks for one is taken to
// fit any node. What was promised to the member but is not in its report yet is
// the caller's to subtract, as a Load.
//
// The package is pure; summaries and demands are immutable once made.
package capacity
