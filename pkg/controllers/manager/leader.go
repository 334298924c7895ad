// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// errLostLease says that another instance may lead now.
var errLostLease = errors.New("the leader election lease was lost")

// lead runs work while this process holds the lease. It returns the error of
// work, nil when ctx ended, or errLostLease. The lease is released after work
// has returned, so that two processes never work at once.
func (m *Manager) lead(ctx context.Context, work func(context.Context) error) error {
	leading := make(chan context.Context, 1)
	elector, err := m.elector(func(leadingCtx context.Context) { leading <- leadingCtx })
	if err != nil {
		return err
	}

	// ctx must not end the election while work still winds down.
	electionCtx, endElection := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(electionCtx)
	}()
	defer func() { endElection(); <-ended }()

	select {
	case <-ctx.Done():
		return nil
	case <-ended:
		return errLostLease
	case leadingCtx := <-leading:
		workCtx, stop := context.WithCancel(leadingCtx)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		//nolint:contextcheck // workCtx descends from ctx, less its end, which AfterFunc passes on
		if err := work(workCtx); err != nil || ctx.Err() != nil {
			return err
		}
		return errLostLease
	}
}

// elector returns a candidate for the configured lease.
func (m *Manager) elector(onLeading func(context.Context)) (*leaderelection.LeaderElector, error) {
	election := m.config.Kube.Generic.LeaderElection
	identity, err := leaderIdentity()
	if err != nil {
		return nil, err
	}
	lock, err := resourcelock.New(election.ResourceLock, election.ResourceNamespace, election.ResourceName,
		nil, m.leases, resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return nil, fmt.Errorf("make the leader election lock: %w", err)
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   election.LeaseDuration.Duration,
		RenewDeadline:   election.RenewDeadline.Duration,
		RetryPeriod:     election.RetryPeriod.Duration,
		ReleaseOnCancel: true,
		Name:            election.ResourceName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: onLeading,
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the leader elector: %w", err)
	}
	return elector, nil
}

// leaderIdentity returns a name for this process that no other process has.
func leaderIdentity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this process for leader election: %w", err)
	}
	return host + "_" + string(uuid.NewUUID()), nil
}
