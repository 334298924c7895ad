// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	// setUpTimeout bounds the start of everything, tearDownTimeout its end.
	setUpTimeout    = 6 * time.Minute
	tearDownTimeout = time.Minute
)

// Bed is the test bed of a package.
type Bed struct {
	*testbed.Bed

	// Repo is the root of the repository, Bin the directory of the programs, Dir
	// that of the bed.
	Repo, Bin, Dir string
}

// SetUp starts what the tests of a package need.
type SetUp func(ctx context.Context, bed Bed) error

// Main opens an empty bed in a directory of the repository, sets it up, runs the tests
// and returns their exit code. The bed is left behind stopped, with its logs. Run by a
// command of PortForward, it relays instead.
func Main(m *testing.M, dir string, setUp SetUp) int {
	if isRelay(os.Args) {
		if err := relay(os.Args[2]); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	code, err := run(context.Background(), m.Run, dir, setUp)
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "run tests over the test bed in %s: %v\n", dir, err)
		return max(code, 1)
	}
	return code
}

// run returns the exit code of the tests, and what went wrong before and after.
func run(ctx context.Context, tests func() int, dir string, setUp SetUp) (code int, err error) {
	bed, err := open(ctx, dir, setUp)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, bed.tearDown(ctx)) }()
	return tests(), nil
}

// open returns a bed that is set up, or none.
func open(ctx context.Context, dir string, setUp SetUp) (Bed, error) {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	repo, err := toolchain.Repo(".")
	if err != nil {
		return Bed{}, err
	}
	bed := Bed{Repo: repo, Bin: filepath.Join(repo, "_bin"), Dir: filepath.Join(repo, dir)}
	report := func(line string) { _, _ = fmt.Fprintln(os.Stderr, line) }
	if bed.Bed, err = testbed.OpenEmpty(ctx, testbed.Config{Dir: bed.Dir, Bin: bed.Bin, Report: report}); err != nil {
		return Bed{}, fmt.Errorf("open: %w", err)
	}
	if err := setUp(ctx, bed); err != nil {
		return Bed{}, errors.Join(fmt.Errorf("set up: %w", err), bed.tearDown(context.WithoutCancel(ctx)))
	}
	return bed, nil
}

// tearDown stops everything.
func (b Bed) tearDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tearDownTimeout)
	defer cancel()
	if err := errors.Join(b.Stop(ctx), b.Close()); err != nil {
		return fmt.Errorf("tear down: %w", err)
	}
	return nil
}
