// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/third_party/forked/golang/btree"

	"fleet.dev/fleet/pkg/apis/work"
)

const (
	// keptChanges is how many changes are kept though every watch had them, for
	// watches that are about to start and for lists at a recent version.
	keptChanges = 1024
	// maxChanges is how many changes are kept for a watch that is behind before
	// it is given up.
	maxChanges = 128 * 1024
	// btreeDegree is that of the store of upstream's Cacher.
	btreeDegree = 16
)

// errStopped is returned by reads after the engine stopped.
var errStopped = errors.New("works are no longer served: the engine stopped")

// entry is one work. It is immutable, the work included.
type entry struct {
	key             string // namespace/name
	resourceVersion uint64
	work            *work.Work
}

// change is one work that came, changed or went; old or next is nil.
type change struct {
	resourceVersion uint64
	old, next       *entry
}

func (c *change) key() string {
	if c.next != nil {
		return c.next.key
	}
	return c.old.key
}

// ledger holds the works as of one revision and the changes that led there. The
// engine writes it, everybody may read.
type ledger struct {
	mu sync.Mutex
	// revision the works are of; 0 before the first load.
	revision int64
	works    *btree.BTree[*entry]
	// bytes is the sum of the manifests' sizes.
	bytes int64
	// changes after the resource version horizon, oldest first.
	changes []change
	horizon uint64
	// epoch counts loads. Changes do not reach from one to the next.
	epoch int
	// readers are the watches that are open and how far they are.
	readers map[*reader]struct{}
	// advanced is closed, and made anew, whenever any of the above moves on.
	advanced chan struct{}
	stopped  bool
}

func newLedger() *ledger {
	return &ledger{
		works:    newTree(),
		readers:  map[*reader]struct{}{},
		advanced: make(chan struct{}),
	}
}

func newTree() *btree.BTree[*entry] {
	return btree.New(btreeDegree, func(a, b *entry) bool { return a.key < b.key })
}

// reset replaces everything. Readers of before are told that they expired.
func (l *ledger) reset(revision int64, entries []*entry) {
	works := newTree()
	var bytes int64
	for _, e := range entries {
		works.ReplaceOrInsert(e)
		bytes += size(e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revision, l.works, l.bytes = revision, works, bytes
	l.changes, l.horizon = nil, resourceVersionAfter(revision)
	l.epoch++
	l.wake()
}

// commit moves on to a revision with the changes it made, in their order.
func (l *ledger) commit(revision int64, changes []change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if revision <= l.revision {
		return
	}
	for i := range changes {
		if changes[i].old != nil {
			l.bytes -= size(changes[i].old)
		}
		if next := changes[i].next; next != nil {
			l.works.ReplaceOrInsert(next)
			l.bytes += size(next)
			continue
		}
		l.works.Delete(changes[i].old)
	}
	l.changes = append(l.changes, changes...)
	l.revision = revision
	l.trim()
	l.wake()
}

// trim forgets the changes nobody needs.
func (l *ledger) trim() {
	excess := len(l.changes) - keptChanges
	if excess <= keptChanges { // not worth the copy
		return
	}
	for r := range l.readers {
		excess = min(excess, l.after(r.position))
	}
	excess = max(excess, len(l.changes)-maxChanges)
	if excess <= 0 {
		return
	}
	l.horizon = l.changes[excess-1].resourceVersion
	l.changes = slices.Clone(l.changes[excess:])
}

// after is the index of the first change after a resource version.
func (l *ledger) after(resourceVersion uint64) int {
	return sort.Search(len(l.changes), func(i int) bool { return l.changes[i].resourceVersion > resourceVersion })
}

func (l *ledger) wake() {
	close(l.advanced)
	l.advanced = make(chan struct{})
}

// stop ends all reads.
func (l *ledger) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.wake()
}

// state returns the revision the ledger is at, 0 before the first load, and a
// channel that is closed when it moved on.
func (l *ledger) state() (int64, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return 0, nil, errStopped
	}
	return l.revision, l.advanced, nil
}

// snapshot returns the works and their revision. The tree is the caller's.
func (l *ledger) snapshot() (*btree.BTree[*entry], int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.works.Clone(), l.revision
}

// snapshotAt returns the works as of a resource version by taking later changes
// back. It fails with 410 Expired when they are not kept any more.
func (l *ledger) snapshotAt(resourceVersion uint64) (*btree.BTree[*entry], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if resourceVersion < l.horizon {
		return nil, expired(resourceVersion, l.horizon)
	}
	works := l.works.Clone()
	for _, later := range slices.Backward(l.changes[l.after(resourceVersion):]) {
		if later.old != nil {
			works.ReplaceOrInsert(later.old)
			continue
		}
		works.Delete(later.next)
	}
	return works, nil
}

// get returns a work, nil if there is none, and the revision that is as of.
func (l *ledger) get(key string) (*entry, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, _ := l.works.Get(&entry{key: key})
	return found, l.revision
}

// stats returns the number of works and the sum of their manifests' sizes.
func (l *ledger) stats() (int, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.works.Len(), l.bytes
}

// reader follows the changes after a resource version.
type reader struct {
	ledger *ledger
	epoch  int
	// position is the resource version of the last change read. Guarded by the
	// lock of the ledger.
	position uint64
}

// follow returns a reader of the changes after a resource version. It fails with
// 410 Expired when they are not kept any more.
func (l *ledger) follow(after uint64) (*reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after < l.horizon {
		return nil, expired(after, l.horizon)
	}
	return l.newReader(after), nil
}

// snapshotAndFollow returns the works and a reader of the changes after them.
func (l *ledger) snapshotAndFollow() (*btree.BTree[*entry], *reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.works.Clone(), l.newReader(resourceVersionAfter(l.revision))
}

func (l *ledger) newReader(position uint64) *reader {
	r := &reader{ledger: l, epoch: l.epoch, position: position}
	l.readers[r] = struct{}{}
	return r
}

// batch is what a reader got.
type batch struct {
	changes []change
	// revision of which, after changes, nothing is missing.
	revision int64
	// advanced is closed when there is more.
	advanced <-chan struct{}
}

// maxBatch bounds how much a reader copies under the lock.
const maxBatch = 512

// next returns what changed since the last call, possibly nothing. It fails with
// 410 Expired when the reader fell too far behind or the ledger was reset.
func (r *reader) next() (batch, error) {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return batch{}, errStopped
	case r.epoch != l.epoch || r.position < l.horizon:
		return batch{}, expired(r.position, l.horizon)
	}
	from := l.after(r.position)
	to := min(from+maxBatch, len(l.changes))
	if from == to {
		return batch{revision: l.revision, advanced: l.advanced}, nil
	}
	changes := slices.Clone(l.changes[from:to])
	r.position = changes[len(changes)-1].resourceVersion
	return batch{changes: changes}, nil
}

// close lets the ledger forget the reader.
func (r *reader) close() {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	delete(r.ledger.readers, r)
}

func expired(resourceVersion, horizon uint64) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", resourceVersion, horizon))
}

func size(e *entry) int64 {
	var sum int64
	for i := range e.work.Spec.Workload.Manifests {
		sum += int64(len(e.work.Spec.Workload.Manifests[i].Raw))
	}
	return sum
}
