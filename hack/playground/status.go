// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"

	"fleet.dev/fleet/test/testbed"
)

// status prints what runs.
func status(ctx context.Context, o options, r *report) (err error) {
	if _, err := os.Stat(o.dir); errors.Is(err, os.ErrNotExist) {
		r.printf("the playground is not running\n")
		return nil
	}
	bed, err := testbed.Open(ctx, testbed.Config{Dir: o.dir, Bin: o.bin, Detached: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.Close()) }()
	r.printf("%-34s %8s %8s  %s\n", "PROCESS", "PID", "MIB", "LOG")
	for _, p := range bed.Processes() {
		if !p.Alive() {
			r.printf("%-34s %8s %8s  %s\n", p.Name(), "-", "-", p.LogFile())
			continue
		}
		resident, err := p.ResidentBytes()
		if err != nil {
			return err
		}
		r.printf("%-34s %8d %8d  %s\n", p.Name(), p.PID(), resident>>20, p.LogFile())
	}
	return nil
}
