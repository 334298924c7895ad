// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binding stores ResourceBindings and ClusterResourceBindings, which
// differ in scope only.
//
// Its strategy keeps spec.tombstones, the record of what is still to be removed
// from members (docs/decisions/0004-tombstones-in-bindings.md): whoever takes a
// member out of the decision leaves a tombstone in the same write, and no client
// can take one away. Feedback, used inside the server alone, may: after the
// member confirmed. A binding that still stands for something in a member cannot
// be deleted.
package binding
