// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"strconv"
	"sync"
	"time"
)

// sightings tell up to which resourceVersion works were seen a while ago, so that
// what they made in the member shows in its numbers. The zero value has seen none.
type sightings struct {
	mu      sync.Mutex
	recent  []sighting // in the order they were seen
	settled uint64
}

type sighting struct {
	version uint64
	at      time.Time
}

// see notes a work of a version.
func (s *sightings) see(version string, now time.Time) {
	parsed, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleLocked(now.Add(-countedAfter))
	s.recent = append(s.recent, sighting{version: parsed, at: now})
}

// version is the highest that was seen long enough ago, empty when there is none.
func (s *sightings) version(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleLocked(now.Add(-countedAfter))
	if s.settled == 0 {
		return ""
	}
	return strconv.FormatUint(s.settled, 10)
}

func (s *sightings) settleLocked(before time.Time) {
	n := 0
	for n < len(s.recent) && !s.recent[n].at.After(before) {
		s.settled = max(s.settled, s.recent[n].version)
		n++
	}
	if n > 0 {
		s.recent = append([]sighting(nil), s.recent[n:]...)
	}
}
