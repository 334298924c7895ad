// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package works holds the integration tests of works, bindings and feedback: what
// a syncer and a scheduler see of the API server, played here by a client.
package works
