// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package inspect answers questions about one object of a fleet: why it is where it
// is, and what it is in a member. It reads, and decides and renders on its own what
// it read, with the code of the scheduler and of the server; it writes nothing. The
// commands explain and render print its answers.
package inspect
