// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
)

// bed is what the tests share. TestMain sets it.
var bed *environment

// environment is a fleet with its members.
type environment struct {
	dir, bin string
	bed      *testbed.Bed
	fleet    *testbed.Fleet
	members  []*testbed.Member
}

func TestMain(m *testing.M) { os.Exit(suite.Main(m, "_run/e2e-webhook", setUp)) }

func setUp(ctx context.Context, b suite.Bed) (err error) {
	bed = &environment{dir: b.Dir, bin: b.Bin, bed: b.Bed}
	if bed.fleet, err = bed.bed.StartFleet(ctx, testbed.FleetConfig{}); err != nil {
		return err
	}
	var configs []testbed.MemberConfig
	for name, dialsOut := range map[string]bool{"member1": false, "member2": true} {
		forward, err := suite.PortForward(bed.socket(name))
		if err != nil {
			return err
		}
		configs = append(configs, testbed.MemberConfig{Name: name, Nodes: 1, DialsOut: dialsOut, PortForward: forward})
	}
	if bed.members, err = bed.bed.StartMembers(ctx, configs...); err != nil {
		return err
	}
	for _, m := range bed.members {
		if err := bed.fleet.Join(ctx, m); err != nil {
			return err
		}
	}
	return bed.fleet.AwaitReady(ctx, bed.members...)
}

// socket is where what runs in the Pods of a member listens.
func (e *environment) socket(member string) string { return filepath.Join(e.dir, member+".sock") }
