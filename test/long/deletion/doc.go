// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deletion tests over real members what must never happen: that something
// is deleted by accident, kept by accident, or lost, while parts of the fleet die, a
// member is away, names are used again at once, or etcd forgets.
package deletion
