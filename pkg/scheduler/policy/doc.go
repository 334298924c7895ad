// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy finds the propagation policy that wins a template and the
// override policies that apply to it.
//
// Selectors are kept in an index by what has to be true of a template for them to
// match: kind, then name, or namespace and one label. Matching a template looks up
// the few places its own kind, name and labels lead to; policies about other
// things cost nothing. The reverse question, which templates a changed policy
// may concern, is answered by its Selectors, which package source resolves
// through its own indexes.
//
// Indexes are safe for concurrent use; event handlers write, the scheduling
// cycle reads. The policies in them are the objects of the informers and are
// never changed.
package policy
