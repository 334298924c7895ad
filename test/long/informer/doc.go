// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package informer reads the Pods of three real members, one of which only dials out,
// through two API servers of a fleet over one etcd, while members and servers are
// restarted and stopped: a client-go informer has to have what a list says, without
// listing more often than servers change, and a member that stands still has to cost
// the others nothing.
package informer
