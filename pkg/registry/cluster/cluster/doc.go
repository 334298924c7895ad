// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster stores Clusters, the members of the fleet.
package cluster
