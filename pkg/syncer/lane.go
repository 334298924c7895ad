// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"sync"
	"time"
)

// slowLook is how long a look that comes to nothing may take at most without being slow.
const slowLook = time.Second

// lane keeps works about which the member took long and then said no, as when a webhook
// of its times out, from keeping all workers: so many of them are looked at together,
// the others wait and leave the rest of the workers to the rest of the works.
type lane struct {
	limit int
	after time.Duration // slowLook, except in tests

	mu     sync.Mutex
	slow   map[string]struct{} // works, by name
	inside map[string]struct{} // those of them that are looked at
	parked []item
	// waits has the names of parked.
	waits map[string]struct{}
}

// newLane returns a lane for half of the workers.
func newLane(workers int, after time.Duration) *lane {
	return &lane{limit: max(1, workers/2), after: after, slow: map[string]struct{}{}, inside: map[string]struct{}{}, waits: map[string]struct{}{}}
}

// enter returns true when the work may be looked at now. Otherwise leave returns it
// some time.
func (l *lane) enter(i item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, slow := l.slow[i.name]; !slow {
		return true
	}
	if len(l.inside) >= l.limit {
		if _, waits := l.waits[i.name]; !waits {
			l.waits[i.name] = struct{}{}
			l.parked = append(l.parked, i)
		}
		return false
	}
	l.inside[i.name] = struct{}{}
	return true
}

// leave says that a work was looked at, whether the member did what was wanted, and how
// long that took. It returns one that had to wait, to be put into the queue again.
func (l *lane) leave(name string, settled bool, took time.Duration) (item, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.inside, name)
	switch {
	case settled:
		delete(l.slow, name)
	case took > l.after:
		l.slow[name] = struct{}{}
	}
	if len(l.parked) == 0 || len(l.inside) >= l.limit {
		return item{}, false
	}
	next := l.parked[0]
	l.parked = l.parked[1:]
	delete(l.waits, next.name)
	return next, true
}
