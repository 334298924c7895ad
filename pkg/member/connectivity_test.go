// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"testing"
	"time"
)

func TestConnectivity(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	first, second := errors.New("first"), errors.New("second")
	var c connectivity
	check := func(when string, wantConnected bool, wantSince time.Time, wantErr error) {
		t.Helper()
		connected, since, err := c.state()
		if connected != wantConnected || !since.Equal(wantSince) || !errors.Is(err, wantErr) {
			t.Errorf("%s: state() = %t, %s, %v, want %t, %s, %v", when, connected, since, err, wantConnected, wantSince, wantErr)
		}
	}
	check("never asked", false, time.Time{}, nil)
	if !c.lost(start, first) {
		t.Error("the first failure is no change")
	}
	check("lost before it was found", false, start, first)
	if c.lost(start.Add(time.Minute), second) {
		t.Error("the second failure in a row is a change")
	}
	check("the first time of loss stays, the last error counts", false, start, second)
	if !c.found() {
		t.Error("an answer after a loss is no change")
	}
	check("found", true, time.Time{}, nil)
	if c.found() {
		t.Error("the second answer in a row is a change")
	}
	c.lost(start.Add(time.Hour), first)
	check("lost again", false, start.Add(time.Hour), first)
}
