// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package relief

import (
	"maps"
	"sync"
	"time"

	"fleet.dev/fleet/pkg/scheduler/template"
)

const (
	// rest is how long a workload rests after its first move.
	rest = 5 * time.Minute
	// maxRest is where it stops doubling.
	maxRest = 12 * time.Hour
	// Memory is how long moves are remembered after a workload last had replicas
	// that found no node.
	Memory = 24 * time.Hour
)

// Ledger remembers which workloads left which members.
type Ledger struct {
	since time.Time // the first moment it knows of

	mu      sync.Mutex
	entries map[template.Key]*entry
	swept   time.Time
}

// entry is the moves of one workload.
type entry struct {
	moves int
	last  time.Time        // move
	stuck time.Time        // when it had replicas without a node last
	left  map[string]int32 // room that the members had which it left
}

// NewLedger returns an empty ledger. What happened before now is not known.
func NewLedger(now time.Time) *Ledger {
	return &Ledger{since: now, entries: map[template.Key]*entry{}, swept: now}
}

// Rest returns how long a workload still rests, 0 when it may move. before is the
// shortest time between what the ledger does not know and a move.
func (l *Ledger) Rest(workload template.Key, before time.Duration, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.since.Add(before).Sub(now)
	if e := l.entryLocked(workload, now); e != nil {
		left = max(left, e.rest()-now.Sub(e.last))
	}
	return max(left, 0)
}

// Stuck learns that a workload has replicas without a node now. It is to be told at
// least every Memory while that is so.
func (l *Ledger) Stuck(workload template.Key, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entryLocked(workload, now); e != nil {
		e.stuck = now
	}
}

// Knows reports whether a workload moved lately.
func (l *Ledger) Knows(workload template.Key, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entryLocked(workload, now) != nil
}

// Avoids reports whether a workload left a member that has the room now and is not
// to go back to it.
func (l *Ledger) Avoids(workload template.Key, member string, room int32, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entryLocked(workload, now)
	if e == nil {
		return false
	}
	had, left := e.left[member]
	return left && (room <= had || now.Sub(e.last) < e.rest())
}

// Moved learns that replicas of a workload left members, which had the room.
func (l *Ledger) Moved(workload template.Key, left map[string]int32, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweepLocked(now)
	e := l.entryLocked(workload, now)
	if e == nil {
		e = &entry{left: map[string]int32{}}
		l.entries[workload] = e
	}
	e.moves++
	e.last, e.stuck = now, now
	maps.Copy(e.left, left)
}

// Forget drops a workload that does not exist any more.
func (l *Ledger) Forget(workload template.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, workload)
}

// entryLocked returns what is remembered of a workload, nil when nothing is.
func (l *Ledger) entryLocked(workload template.Key, now time.Time) *entry {
	e := l.entries[workload]
	if e != nil && now.Sub(e.stuck) > Memory {
		delete(l.entries, workload)
		return nil
	}
	return e
}

// sweepLocked drops what is forgotten, now and then.
func (l *Ledger) sweepLocked(now time.Time) {
	if now.Sub(l.swept) < Memory {
		return
	}
	l.swept = now
	for workload := range l.entries {
		l.entryLocked(workload, now)
	}
}

func (e *entry) rest() time.Duration {
	// No more than 62 doublings fit; the limit is reached long before.
	return min(rest<<min(e.moves-1, 20), maxRest)
}
