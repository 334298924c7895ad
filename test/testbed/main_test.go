// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestMain lets this binary be the programs that tests start.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == fleetName {
		if err := fakeFleet(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if mode := os.Getenv(lifetimeEnv); mode != "" {
		startAndHang(mode == "detached")
		return
	}
	os.Exit(m.Run())
}
