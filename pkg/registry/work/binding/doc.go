// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binding stores ResourceBindings and ClusterResourceBindings, which
// differ in scope only.
//
// Its strategy keeps spec.tombstones, the record of what is still to be removed
// from members (docs/decisions/0004-tombstones-in-bindings.md): whoever takes a
// member out of the decision leaves a tombstone in the same write, and no write to
// a binding or its status can take one away. Feedback, used inside the server
// alone, may: after the member confirmed. A binding that still stands for
// something in a member cannot be deleted.
//
// # Members that will never confirm
//
// A member that burned down, or whose Cluster is gone, confirms nothing. Its
// tombstones are taken away through the subresource tombstones: an update or a
// patch of it removes tombstones, and the last reports of members that then have
// nothing to do with the binding; it adds and changes nothing. That may leave
// objects running in a member, so it is a right of its own (verbs update and patch
// on resourcebindings/tombstones and clusterresourcebindings/tombstones), which
// the cluster controller holds: it uses it for Clusters unjoined with --force and,
// after a live read, for Clusters that do not exist.
package binding
