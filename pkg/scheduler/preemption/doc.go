// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package preemption chooses which replicas of lower priority make room for others:
// as few as possible of the highest priority among them, then of the next, and so
// on. Nothing goes that is not needed. The package is pure.
package preemption
