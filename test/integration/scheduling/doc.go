// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scheduling tests the scheduler with the API server: what its decisions
// cost in etcd, what dry runs are told of them, what goes along with a workload, and
// how it is asked to decide anew. Members are Clusters with a
// status, which nobody serves.
package scheduling
