// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package election lets one of several processes work at a time. Components that
// must not run twice (scheduler, controller manager, syncer) call it between
// their flags and their work; it wraps client-go's leader election in the one
// thing that gets wrong otherwise: the lease is given back only after the work
// has ended, so that two never work at once, not even while one winds down.
package election
