// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package placedaffinity prefers the members that run the template already.
package placedaffinity
