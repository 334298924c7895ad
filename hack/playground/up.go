// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const defaultMembers = 2

// up brings the playground to life: what is missing is built, started and
// joined, what runs is left alone.
func up(ctx context.Context, o options, r *report) (err error) {
	if err := build(ctx, o, r); err != nil {
		return err
	}
	if o.fleet {
		config := toolchain.Config{Repo: o.repo, Bin: o.bin, Report: r.step}
		if err := toolchain.EnsureFleet(ctx, config, o.ldflags); err != nil {
			return err
		}
	}
	bed, err := testbed.Open(ctx, testbed.Config{Dir: o.dir, Bin: o.bin, Detached: true, Report: r.step})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.Close()) }()

	wanted := memberConfigs(existing(bed), o)
	if complete(bed, wanted, o.fleet) {
		r.step("the playground is already running")
		hintOutdated(bed, r)
		r.hush() // what follows only checks that all is well
	}
	if err := start(ctx, bed, wanted, o.fleet); err != nil {
		return err
	}
	if err := join(ctx, bed, r); err != nil {
		return err
	}
	r.step("the playground is up")
	return usage(bed, o, r)
}

// memberConfigs are the members that should run: those there are, and new ones
// up to the number asked for. 0 adds none unless there are none at all. The last ones
// asked for can only dial out.
func memberConfigs(existing []testbed.MemberConfig, o options) []testbed.MemberConfig {
	n := o.members
	if n == 0 && len(existing) == 0 {
		n = defaultMembers
	}
	out := slices.Clone(existing)
	for i := len(existing); i < n; i++ {
		out = append(out, testbed.MemberConfig{Name: fmt.Sprintf("member%d", i+1), Nodes: o.nodes, DialsOut: i >= n-o.pull})
	}
	return out
}

func existing(bed *testbed.Bed) []testbed.MemberConfig {
	var out []testbed.MemberConfig
	for _, m := range bed.Members() {
		out = append(out, m.Config())
	}
	return out
}

// complete tells whether all that is wanted was started before and runs.
func complete(bed *testbed.Bed, wanted []testbed.MemberConfig, fleet bool) bool {
	if len(bed.Members()) < len(wanted) || fleet && bed.Fleet() == nil {
		return false
	}
	return !slices.ContainsFunc(bed.Processes(), func(p *testbed.Process) bool { return !p.Alive() })
}

// hintOutdated says which running programs were built again since they started.
func hintOutdated(bed *testbed.Bed, r *report) {
	for _, p := range bed.Processes() {
		if p.Outdated() {
			r.step(p.Name() + " was built again since it started; for the new one: make down up")
		}
	}
}

// start starts members and fleet side by side.
func start(ctx context.Context, bed *testbed.Bed, members []testbed.MemberConfig, fleet bool) error {
	var membersErr, fleetErr error
	var group sync.WaitGroup
	group.Go(func() { _, membersErr = bed.StartMembers(ctx, members...) })
	if fleet || bed.Fleet() != nil {
		group.Go(func() { _, fleetErr = bed.StartFleet(ctx, testbed.FleetConfig{}) })
	}
	group.Wait()
	return errors.Join(membersErr, fleetErr)
}

// join joins the members that the fleet does not know and waits for all.
func join(ctx context.Context, bed *testbed.Bed, r *report) error {
	fleet := bed.Fleet()
	if fleet == nil {
		return nil
	}
	for _, m := range bed.Members() {
		if err := fleet.Join(ctx, m); err != nil {
			return err
		}
	}
	r.step("members are joined")
	return fleet.AwaitReady(ctx, bed.Members()...)
}

// usage prints what to type next.
func usage(bed *testbed.Bed, o options, r *report) error {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return err
	}
	r.printf("\nTo use it:\n\n  export PATH=%s:$PATH\n", bin)
	fleet := bed.Fleet()
	if fleet != nil {
		r.printf("  export KUBECONFIG=%s\n", fleet.Kubeconfig())
		r.printf("  fleet get clusters\n  kubectl create deployment web --image=nginx --replicas=6\n")
		r.printf("  kubectl rollout status deployment/web\n")
	}
	r.printf("\nMembers:\n\n")
	for _, m := range bed.Members() {
		r.printf("  kubectl --kubeconfig %s get pods -A\n", m.Kubeconfig())
	}
	r.printf("\nTo stop it and remove its data: make down\n")
	return nil
}
