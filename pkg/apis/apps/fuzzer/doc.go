// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fuzzer fills the types of apps.fleet.dev at random for tests, such that
// the server's defaults would change nothing in them.
package fuzzer
