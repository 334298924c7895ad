// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance runs a sample of Kubernetes' own conformance tests on a fleet
// over three members and on one plain cluster, and writes docs/conformance.md. The
// sample (testdata/specs.txt) is what passes on a cluster whose nodes are
// simulated: tests that look into containers cannot. "make conformance" runs it.
package conformance
