// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/derived/ledger"
)

// A work in the ledger, and one that came, changed or went.
type (
	entry  = ledger.Entry[*work.Work]
	change = ledger.Change[*work.Work]
)

// size of a work is estimated by its manifests.
func size(w *work.Work) int64 {
	var sum int64
	for i := range w.Spec.Workload.Manifests {
		sum += int64(len(w.Spec.Workload.Manifests[i].Raw))
	}
	return sum
}

// placeBits is how many bits of a resource version are the place inside a
// revision.
const placeBits = workv1alpha1.WorkPlaceBits

// lastPlace is after the place of every work of a revision.
const lastPlace = 1<<placeBits - 1

// resourceVersionAt is the resource version of the work at a place of a
// revision. Places beyond the last would only be told apart no more.
func resourceVersionAt(revision int64, place int) uint64 {
	return uint64(revision)<<placeBits | uint64(min(place, lastPlace-1))
}

// resourceVersionAfter is the resource version after all works of a revision:
// that of lists and bookmarks.
func resourceVersionAfter(revision int64) uint64 {
	return uint64(revision)<<placeBits | lastPlace
}

// revisionOf is the etcd revision in a resource version.
func revisionOf(resourceVersion uint64) int64 {
	return int64(workv1alpha1.RevisionOfWork(resourceVersion))
}
