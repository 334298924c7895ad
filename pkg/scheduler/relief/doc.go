// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package relief decides which replicas leave a member because it finds no node
// for their Pods, and when.
//
// A member that reports room and yet finds no node is wrong about its room, for
// this workload. So what leaves it must not come back by the next report, nor
// wander from member to member for ever:
//
//   - Replicas leave only as far as other members have room for them, after those
//     that are to be placed anyway.
//   - A workload rests after each move, and twice as long each time.
//   - A member that was left is not chosen again while the workload rests, and
//     afterwards only when it has more room than it had when it was left.
//   - All that is forgotten when the workload had all its nodes for a day.
//
// It is pure: the caller says what time it is. A Ledger is in memory; after a
// restart it knows nothing, and every workload rests once before its first move.
// It is safe for concurrent use.
package relief
