// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expression compiles and evaluates the CEL of policies: which members an
// affinity selects, and what an override changes.
//
// The dialect is that of Kubernetes. Expressions are type-checked against a
// declared type of cluster, which has less than the API object: what does not
// change with every heartbeat. All its fields are there, empty when nobody said
// anything, so only labels and annotations need a test for being there.
//
// Evaluation is pure and bounded by cost: the same expression over the same
// arguments has the same result or error, everywhere, and ends soon. Compiled
// expressions are kept by their text, so that callers need not; all of it is safe
// for concurrent use.
//
// It is called by the strategies of policies (to refuse what does not compile),
// by the scheduler (affinities, facts) and by render (overrides).
package expression
