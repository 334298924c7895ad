// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replicadivision divides the replicas of a template among the members
// chosen for it. The arithmetic is in package division.
package replicadivision
