// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package join takes clusters into a fleet and out of it: what "fleet join" and
// "fleet unjoin" do, on both sides, without flags and printing. Package app
// calls it.
//
// # In the member
//
// Grant makes, in namespace fleet-system, a ServiceAccount with a token that
// does not expire, and a ClusterRole and ClusterRoleBinding that let it do
// everything: whatever users store in the fleet, roles and custom resources
// included, is applied in the member with these rights, and Kubernetes lets
// nobody grant what it may not do itself. All of it, and the namespace if it was
// made here, is owned by the ClusterRole, so that Revoke is one call that needs
// no right it takes away.
//
// # In the fleet
//
// Register makes the namespace fleet-cluster-<name>, in it a Secret with the
// token, and the Cluster. Joining again renews all of it; nothing else that
// users wrote to the Cluster is touched.
//
// A member belongs to one fleet and has one name there: Check and Grant refuse a
// second.
package join
