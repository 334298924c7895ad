// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workloadaffinity places workloads on the members of others of their
// group, or on none of those.
package workloadaffinity
