// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fake is a member for tests: an HTTP server in the process that speaks
// as much of the Kubernetes API as the fleet uses, from memory. Discovery,
// OpenAPI, list, watch and server-side apply behave as in a real API server,
// the latter two by upstream's own code and with the schemas the Kubernetes
// release publishes; there is no defaulting, validation or admission, and no
// controllers run. Tests that need these have real members in test/testbed.
//
// A Member counts the requests it gets, so that a test can say how many a
// behaviour may cost, and can be told to fail requests.
package fake
