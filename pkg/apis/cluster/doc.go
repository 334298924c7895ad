// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:deepcopy-gen=package
// +groupName=cluster.fleet.dev

// Package cluster is the internal version of the API group cluster.fleet.dev: what the
// API server works on between decoding a request and encoding its answer. No
// client sees it. The fields are those of the versioned packages below, and are
// documented there.
package cluster
