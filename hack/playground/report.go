// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// report prints to the user. Steps carry the seconds since the command started.
type report struct {
	started time.Time

	mu    sync.Mutex
	out   io.Writer
	quiet bool
}

func newReport(out io.Writer) *report {
	return &report{started: time.Now(), out: out} //nolint:forbidigo // it only shows how long steps take
}

// step prints one line about something that took time.
func (r *report) step(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.quiet {
		_, _ = fmt.Fprintf(r.out, "[%6.1fs] %s\n", time.Since(r.started).Seconds(), line)
	}
}

// hush drops all steps from now on.
func (r *report) hush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quiet = true
}

func (r *report) printf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintf(r.out, format, args...)
}
