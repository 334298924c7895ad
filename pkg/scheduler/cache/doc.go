// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cache is what the scheduler knows of members and placements.
//
// Of every template the cache knows where it is. That is what its binding says,
// or, while a decision is being written, what the decision says:
//
//	          Assume                   Confirm
//	binding ----------> assumed -----------------> binding
//	   ^                   |
//	   +-------------------+
//	          Forget
//
// All indexes, the footprints of namespaces among them, follow from where things
// are, so a decision counts for the next one at once. What a decision will take
// from a member is promised on top: the report of the member does not show it
// until its Pods run, and a promise ends when the report says that it does, or
// lapses when it should. Room that others make for a template is claimed in the
// same way.
//
// Assumptions:
//
//   - One template is assumed once at a time.
//   - Events may come late: a binding that is older than the one known, by
//     resourceVersion, changes nothing.
//   - Members and bindings handed out are never changed by anyone.
//
// A Cache is safe for concurrent use. Its lock is never held over a call to
// anything else.
package cache
