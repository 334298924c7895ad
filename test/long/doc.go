// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package long holds the tests that take longer than a developer waits for: every
// kind over members of different versions, failures repeated until chance has no
// part in the result. "make test-long" runs them.
package long
