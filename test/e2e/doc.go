// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e holds the end-to-end tests: real member clusters, "fleet server" as
// it is shipped, and the clients people use (kubectl, Helm 3 and 4, client-go),
// unchanged.
//
// TestMain opens a test bed in _run/e2e with a fleet over two members of two nodes,
// which all tests share: member1 in Push mode, joined with "fleet join", and member2 in
// Pull mode, in a network that can only dial out, joined with "fleet register" and
// "fleet accept". The directory is made anew at each run and left behind stopped,
// with the logs of all processes, audit logs of the fleet (all writes) and of the
// members (all writes by the fleet, those in the name of its users included).
//
// A test works in a namespace of its own (see space) and leaves nothing behind.
// Tests that kill the fleet, change who its members are or measure that nothing
// happens are sequential; the others call t.Parallel and so run after them.
//
// The sequential ones wait for most of their time. Therefore "make test" runs those of
// E2E_APART in the Makefile over a bed of their own (flag -dir), beside all others.
// Files are in the order that goes well with that: nothing happens (idle_test.go)
// while the latencies of TestPartition are measured.
//
// What "like a cluster" means is not written down here when a real cluster can be
// asked: such tests do the same to a namespace of a member that the fleet does not
// know (see newReference) and compare.
package e2e
