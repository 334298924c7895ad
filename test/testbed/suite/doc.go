// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package suite is what packages of tests over a test bed have in common: Main runs
// the tests of a package around one bed, PortForward leads from Pods to what tests
// serve, and Eventually, Await and Throughout wait
// for what fleet and members do in their own time.
package suite
