// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/third_party/forked/golang/btree"
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

// ErrStopped is returned by reads after Stop.
var ErrStopped = errors.New("no longer served: what fills the ledger has stopped")

// Entry is one object. It is immutable, the object included.
type Entry[T runtime.Object] struct {
	// Key is namespace/name, or name.
	Key string
	// ResourceVersion is that of the change that made the object what it is.
	ResourceVersion uint64
	Object          T
}

// Change is one object that came, changed or went; Old or Next is nil.
type Change[T runtime.Object] struct {
	ResourceVersion uint64
	Old, Next       *Entry[T]
}

// Key is the key of the object.
func (c *Change[T]) Key() string {
	if c.Next != nil {
		return c.Next.Key
	}
	return c.Old.Key
}

// EventType is what the change is to a watch that selects everything.
func (c *Change[T]) EventType() watch.EventType {
	switch {
	case c.Old == nil:
		return watch.Added
	case c.Next == nil:
		return watch.Deleted
	default:
		return watch.Modified
	}
}

// Ledger holds objects as of one resource version and the changes that led there.
type Ledger[T runtime.Object] struct {
	size func(T) int64

	mu sync.Mutex // guards all below
	// position is the resource version the objects are of; 0 before the first Reset.
	position uint64
	objects  *btree.BTree[*Entry[T]]
	// bytes is the sum of the objects' sizes.
	bytes int64
	// changes after the resource version horizon, oldest first.
	changes []Change[T]
	horizon uint64
	// epoch counts resets. Changes do not reach from one to the next.
	epoch int
	// readers are the watches that are open and how far they are.
	readers map[*Reader[T]]struct{}
	// advanced is closed, and made anew, whenever any of the above moves on.
	advanced chan struct{}
	stopped  bool
}

// New returns an empty ledger. The size of an object is whatever Stats are to
// tell; it must not change.
func New[T runtime.Object](size func(T) int64) *Ledger[T] {
	return &Ledger[T]{
		size:     size,
		objects:  newTree[T](),
		readers:  map[*Reader[T]]struct{}{},
		advanced: make(chan struct{}),
	}
}

func newTree[T runtime.Object]() *btree.BTree[*Entry[T]] {
	return btree.New(btreeDegree, func(a, b *Entry[T]) bool { return a.Key < b.Key })
}

// Reset replaces everything. Readers of before are told that they expired.
func (l *Ledger[T]) Reset(position uint64, entries []*Entry[T]) {
	objects := newTree[T]()
	var bytes int64
	for _, e := range entries {
		objects.ReplaceOrInsert(e)
		bytes += l.size(e.Object)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position, l.objects, l.bytes = position, objects, bytes
	l.changes, l.horizon = nil, position
	l.epoch++
	l.wake()
}

// Commit moves on to a position with the changes that lead there, in their
// order. A position that was reached already is ignored, with its changes.
func (l *Ledger[T]) Commit(position uint64, changes []Change[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position <= l.position {
		return
	}
	for i := range changes {
		if changes[i].Old != nil {
			l.bytes -= l.size(changes[i].Old.Object)
		}
		if next := changes[i].Next; next != nil {
			l.objects.ReplaceOrInsert(next)
			l.bytes += l.size(next.Object)
			continue
		}
		l.objects.Delete(changes[i].Old)
	}
	l.changes = append(l.changes, changes...)
	l.position = position
	l.trim()
	l.wake()
}

// trim forgets the changes nobody needs.
func (l *Ledger[T]) trim() {
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
	l.horizon = l.changes[excess-1].ResourceVersion
	l.changes = slices.Clone(l.changes[excess:])
}

// after is the index of the first change after a resource version.
func (l *Ledger[T]) after(resourceVersion uint64) int {
	return sort.Search(len(l.changes), func(i int) bool { return l.changes[i].ResourceVersion > resourceVersion })
}

func (l *Ledger[T]) wake() {
	close(l.advanced)
	l.advanced = make(chan struct{})
}

// Stop ends all reads.
func (l *Ledger[T]) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.wake()
}

// State returns the position the ledger is at, 0 before the first Reset, and a
// channel that is closed when it moved on.
func (l *Ledger[T]) State() (uint64, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return 0, nil, ErrStopped
	}
	return l.position, l.advanced, nil
}

// Resets returns how often everything was replaced.
func (l *Ledger[T]) Resets() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// Snapshot returns the objects and their position. The tree is the caller's.
func (l *Ledger[T]) Snapshot() (*btree.BTree[*Entry[T]], uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.objects.Clone(), l.position
}

// SnapshotAt returns the objects as of a resource version by taking later changes
// back. It fails with 410 Expired when they are not kept any more.
func (l *Ledger[T]) SnapshotAt(resourceVersion uint64) (*btree.BTree[*Entry[T]], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if resourceVersion < l.horizon {
		return nil, Expired(resourceVersion, l.horizon)
	}
	objects := l.objects.Clone()
	for _, later := range slices.Backward(l.changes[l.after(resourceVersion):]) {
		if later.Old != nil {
			objects.ReplaceOrInsert(later.Old)
			continue
		}
		objects.Delete(later.Next)
	}
	return objects, nil
}

// Get returns an entry, nil if there is none, and the position that is as of.
func (l *Ledger[T]) Get(key string) (*Entry[T], uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, _ := l.objects.Get(&Entry[T]{Key: key})
	return found, l.position
}

// Stats returns the number of objects and the sum of their sizes.
func (l *Ledger[T]) Stats() (int, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.objects.Len(), l.bytes
}

// Reader follows the changes after a resource version.
type Reader[T runtime.Object] struct {
	ledger *Ledger[T]
	epoch  int
	// position is the resource version of the last change read. Guarded by the
	// lock of the ledger.
	position uint64
}

// Follow returns a reader of the changes after a resource version. It fails with
// 410 Expired when they are not kept any more.
func (l *Ledger[T]) Follow(after uint64) (*Reader[T], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after < l.horizon {
		return nil, Expired(after, l.horizon)
	}
	return l.newReader(after), nil
}

// SnapshotAndFollow returns the objects, their position and a reader of the
// changes after it.
func (l *Ledger[T]) SnapshotAndFollow() (*btree.BTree[*Entry[T]], uint64, *Reader[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.objects.Clone(), l.position, l.newReader(l.position)
}

func (l *Ledger[T]) newReader(position uint64) *Reader[T] {
	r := &Reader[T]{ledger: l, epoch: l.epoch, position: position}
	l.readers[r] = struct{}{}
	return r
}

// Batch is what a reader got.
type Batch[T runtime.Object] struct {
	Changes []Change[T]
	// Position is the resource version up to which, after the changes, nothing is
	// missing; 0 when more is there already.
	Position uint64
	// Advanced is closed when there is more; nil when more is there already.
	Advanced <-chan struct{}
}

// maxBatch bounds how much a reader copies under the lock.
const maxBatch = 512

// Next returns what changed since the last call, possibly nothing. It fails with
// 410 Expired when the reader fell too far behind or the ledger was reset.
func (r *Reader[T]) Next() (Batch[T], error) {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return Batch[T]{}, ErrStopped
	case r.epoch != l.epoch || r.position < l.horizon:
		return Batch[T]{}, Expired(r.position, l.horizon)
	}
	from := l.after(r.position)
	to := min(from+maxBatch, len(l.changes))
	if from == to {
		return Batch[T]{Position: l.position, Advanced: l.advanced}, nil
	}
	changes := slices.Clone(l.changes[from:to])
	r.position = changes[len(changes)-1].ResourceVersion
	return Batch[T]{Changes: changes}, nil
}

// Close lets the ledger forget the reader.
func (r *Reader[T]) Close() {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	delete(r.ledger.readers, r)
}

// Expired is the 410 of a resource version before the horizon.
func Expired(resourceVersion, horizon uint64) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", resourceVersion, horizon))
}
