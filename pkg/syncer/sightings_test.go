// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"testing"
	"time"
)

func TestSightings(t *testing.T) {
	var s sightings
	start := time.Unix(1_000, 0)
	check := func(reason string, after time.Duration, want string) {
		t.Helper()
		if got := s.version(start.Add(after)); got != want {
			t.Errorf("%s: want %q, got %q", reason, want, got)
		}
	}
	check("nothing was seen", 0, "")
	s.see("7", start)
	s.see("not a version", start)
	check("what was just seen has made nothing yet", 0, "")
	s.see("5", start.Add(countedAfter/2))
	check("the first is long ago, the second is not", countedAfter, "7")
	check("versions do not go back", 2*countedAfter, "7")
	for i := range 1000 {
		s.see("9", start.Add(3*countedAfter+time.Duration(i)*countedAfter/2))
	}
	check("those seen meanwhile count", 600*countedAfter, "9")
	if got := len(s.recent); got > 3 {
		t.Errorf("what is long ago is kept: %d sightings", got)
	}
}
