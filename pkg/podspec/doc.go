// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podspec reads a Pod spec the way placement does: what one such Pod needs
// from a member, and which objects it refers to.
//
// It is pure. The scheduler calls it for the Pod templates of native workloads, and
// package expression for those that customizations find in custom resources, so
// that both are read alike.
package podspec
