// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusterid is the admission plugin ClusterID: no two Clusters have the
// same spec.id, because they would be the same member under two names, and two
// bindings would fight over the objects there.
//
// It looks ids up in a cache. Two Clusters made at the same moment by different
// requests can slip through; the registration controller, which is one, does not
// make such.
package clusterid
