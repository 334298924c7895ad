// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package handover is about whose an object of a member is: it finds those the
// fleet does not know any more, takes a running object under the fleet, and compares
// an object with what the fleet wants it to be. It reaches members through the
// fleet's proxy, as the user. The commands get unknown, promote and diff print what
// it returns. But for Prune, which deletes one object at a time and only in the state
// that was shown, it writes nothing in members.
package handover
