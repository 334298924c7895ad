// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"fleet.dev/fleet/test/testbed"
)

// down stops exactly what up started and removes its data.
func down(ctx context.Context, o options, r *report) error {
	if _, err := os.Stat(o.dir); errors.Is(err, os.ErrNotExist) {
		r.step("the playground is not running")
		return nil
	}
	bed, err := testbed.Open(ctx, testbed.Config{Dir: o.dir, Bin: o.bin, Detached: true})
	if err != nil {
		return err
	}
	members := len(bed.Members())
	stopped := 0
	for _, p := range bed.Processes() {
		if p.Alive() {
			stopped++
		}
	}
	if err := bed.Destroy(ctx); err != nil {
		return errors.Join(err, bed.Close())
	}
	if members == 0 && stopped == 0 {
		r.step("the playground is not running")
		return nil
	}
	r.step(fmt.Sprintf("the playground is down, %d processes stopped, data removed", stopped))
	return nil
}
