// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errNotYet = errors.New("not yet")

// bedDir is a directory for a bed, as a path from the root of the repository.
func bedDir(t *testing.T) string {
	t.Helper()
	root := filepath.Join("..", "..", "..")
	at, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Rel(at, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRun(t *testing.T) {
	cases := map[string]struct {
		reason string
		setUp  error
		tests  int
		code   int
		failed bool
	}{
		"Passed":  {reason: "the exit code is that of the tests"},
		"Failed":  {reason: "the exit code is that of the tests", tests: 1, code: 1},
		"NoSetUp": {reason: "there is nothing to test", setUp: errNotYet, code: 1, failed: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			dir, ran := bedDir(t), false
			code, err := run(t.Context(), func() int {
				ran = true
				return tc.tests
			}, dir, func(_ context.Context, bed Bed) error {
				if _, err := os.Stat(bed.Dir); err != nil {
					t.Errorf("the bed has its directory: %v", err)
				}
				return tc.setUp
			})
			if code != tc.code || !errors.Is(err, tc.setUp) || tc.failed != (err != nil) || ran == tc.failed {
				t.Errorf("%s: run() = %d, %v, tests ran: %t", tc.reason, code, err, ran)
			}
			// Whoever comes next finds it closed.
			if _, err := run(t.Context(), func() int { return 0 }, dir, func(context.Context, Bed) error { return nil }); err != nil {
				t.Errorf("run again: %v", err)
			}
		})
	}
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := Await(t.Context(), time.Minute, func(context.Context) error {
			if tries++; tries < 5 {
				return errNotYet
			}
			return nil
		})
		if err != nil || tries != 5 {
			t.Errorf("it looks until it sees it: %d times, %v", tries, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := Await(t.Context(), time.Minute, func(ctx context.Context) error {
			if time.Since(began) > time.Second {
				<-ctx.Done() // a request that is under way when time is up
				return ctx.Err()
			}
			return errNotYet
		})
		if !errors.Is(err, errNotYet) || !strings.Contains(err.Error(), "not within 1m0s") {
			t.Errorf("the last error that says something is told, got %v", err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("it gives up when time is up, took %s", took)
		}
	})
}

func TestThroughout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, looked := time.Now(), 0
		Throughout(t, time.Minute, "nothing", func(ctx context.Context) error {
			looked++
			return ctx.Err()
		})
		if took := time.Since(began); took != time.Minute || looked < 500 {
			t.Errorf("it looks all the time: %d times in %s", looked, took)
		}
	})
}
