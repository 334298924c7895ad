// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tunnel tests how users reach members through the fleet's API server:
// real servers in the test process, and an HTTP server as the API server of each
// member. Exec and port-forward in real Pods are tested end to end.
package tunnel
