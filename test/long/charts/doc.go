// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package charts takes Helm charts of different shapes (testdata) through the life of a
// release on a fleet of three members, with Helm 3 and Helm 4: an installation that waits,
// its test, an upgrade, an upgrade that fails and is rolled back by Helm, and the end.
//
// After each step it looks into the members: what the release says runs there, each hook
// ran once in one of them, and at the end nothing is left.
//
// The webhook of the operator's chart is served by the test process: a port-forward to a
// Pod of a member runs this test's program again, as a relay to the server's socket.
package charts
