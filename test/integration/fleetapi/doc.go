// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleetapi holds the integration tests of the fleet's own API: what a
// user of it sees through the API server. Objects are sent as they would be
// written in a file, because a typed client would not send half of the mistakes.
package fleetapi
