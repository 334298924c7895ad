// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package serviceaccount is the admission plugin PodServiceAccount: a bare Pod that is
// made in the fleet shows its ServiceAccount and the volume with the token of that from
// the beginning, as it does in any cluster.
//
// It is upstream's plugin ServiceAccount, but for one thing: whether the ServiceAccount
// exists is for the member to find out that gets the Pod. In a namespace that was just
// made, the fleet's may not be there yet. The volume does not travel (package render):
// the member mounts a token of its own, unless the Pod or the ServiceAccount, which go
// there as well, say that it is not to.
package serviceaccount
