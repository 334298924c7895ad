// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package harness runs a fleet API server with an embedded etcd inside the test
// process, on a port of its own. Integration tests use it with real clients; it
// has no members, so what needs one is an end-to-end test.
package harness
