// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

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
	setUpTimeout    = 4 * time.Minute
	tearDownTimeout = time.Minute
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

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == relayCommand {
		if err := relay(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	e, err := setUp(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "set up the end-to-end tests of webhooks:", err)
		return 1
	}
	bed = e
	code := m.Run()
	if err := e.tearDown(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "tear down the end-to-end tests of webhooks:", err)
		return max(code, 1)
	}
	return code
}

func setUp(ctx context.Context) (_ *environment, err error) {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	repo, err := toolchain.Repo(".")
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &environment{dir: filepath.Join(repo, "_run", "e2e-webhook"), bin: filepath.Join(repo, "_bin")}
	e.bed, err = testbed.OpenEmpty(ctx, testbed.Config{Dir: e.dir, Bin: e.bin, Report: func(line string) { fmt.Fprintln(os.Stderr, line) }})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.tearDown(context.WithoutCancel(ctx)))
		}
	}()
	if e.fleet, err = e.bed.StartFleet(ctx, testbed.FleetConfig{}); err != nil {
		return nil, err
	}
	var configs []testbed.MemberConfig
	for name, dialsOut := range map[string]bool{"member1": false, "member2": true} {
		configs = append(configs, testbed.MemberConfig{
			Name: name, Nodes: 1, DialsOut: dialsOut, PortForward: []string{program, relayCommand, e.socket(name)},
		})
	}
	if e.members, err = e.bed.StartMembers(ctx, configs...); err != nil {
		return nil, err
	}
	for _, m := range e.members {
		if err := e.fleet.Join(ctx, m); err != nil {
			return nil, err
		}
	}
	return e, e.fleet.AwaitReady(ctx, e.members...)
}

// socket is where what runs in the Pods of a member listens.
func (e *environment) socket(member string) string { return filepath.Join(e.dir, member+".sock") }

func (e *environment) tearDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tearDownTimeout)
	defer cancel()
	return errors.Join(e.bed.Stop(ctx), e.bed.Close())
}
