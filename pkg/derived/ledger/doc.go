// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger keeps objects that are served but not stored: as of one
// resource version, with the changes that led there. It is what a
// storage.Interface without a store of its own lists and watches (pkg/derived
// for works, pkg/projection for objects of members).
//
// One goroutine at a time fills a Ledger, by Reset and Commit, in the order of
// resource versions; everybody may read. Entries are immutable. A list is a copy
// of a tree, which costs nothing; a watch is a Reader, which takes changes in
// batches at its own pace and is told 410 Expired when it falls too far behind.
// Nothing is called or waited for while the lock is held.
package ledger
