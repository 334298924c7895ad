// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pace says how long work waits that nobody waits for: records of revisions,
// numbers of what goes on. While little happens it is done promptly. When many things
// happen at once, as when hundreds of workloads are created, it leaves the processors to
// what does not wait, to be placed first, and several causes become one write.
//
// Callers put what is to be done into a queue, after the delay they get here, and look
// then at how things are. What somebody changes twice in between they see once.
//
// It is called by the feedback intake and by the revision controller. A Pace is safe for
// concurrent use.
package pace
