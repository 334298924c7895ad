// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package feedback takes what members report and makes it the status of bindings
// and templates. It runs inside the fleet-apiserver; the registries of works and
// workfeedbacks hand it every report (their Sink is the Intake).
//
//	Accept(member, items) ──► batch per binding ──window──► one write of the binding ──► answers
//	Resync(binding) ─────────────────┘                           │  (status, acked tombstones)
//	                                                             ▼
//	                                            rollup ──► one write of the template's status
//
// # Writes
//
// Reports on one binding gather for a window: Options.Window when little goes on,
// up to Options.MaxWindow when the writes take longer than they arrive. Of each
// member only the last report counts. Then there is one write of the binding and
// one of the template's status, and none of either when nothing differs. Members
// may report as often as they like.
//
// # Promises
//
//   - An item is answered as accepted only after it is stored. Whatever is lost
//     with the process was not accepted, and its member sends it again.
//   - A tombstone is removed only when its member confirmed the deletion of the
//     object with the tombstone's uid, for a work of the generation that made the
//     tombstone or a later one. Other confirmations are stale and ignored.
//   - An item is refused as stale or as not found only after a read that did not
//     come from a cache.
//   - Nothing is decided upon a state older than this process wrote itself, and
//     with Options.Peers neither upon one older than another server wrote: a cache
//     behind the truth must not make a report look like nothing new.
//   - The status of the template follows from the binding, so it can be made anew
//     at any time. Resync of every binding at start repairs what a crash left
//     between the two writes.
//
// # Concurrency
//
// One worker at a time works on a binding (the queue sees to that); several work
// on different ones. The lock guards the batches and is never held while
// something is read or written. Several servers may take reports on one binding:
// writes carry resource versions, and after a conflict the items are merged into
// what the other one wrote. The order template first, binding second in which the
// two are read makes sure that of two rollups the one that knows more wins.
package feedback
