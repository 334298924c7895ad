// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// errLostLease says that another syncer may serve the same members now.
var errLostLease = errors.New("the leader election lease was lost")

// candidate runs work while it holds a lease.
type candidate struct {
	work    Runnable
	options *Options
	lock    resourcelock.Interface
}

func newCandidate(opts *Options, config *rest.Config, work Runnable) (*candidate, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find name of this host: %w", err)
	}
	config = rest.CopyConfig(config)
	config.Timeout = opts.LeaderElection.RenewDeadline.Duration / 2
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client for leader election: %w", err)
	}
	leases, err := coordinationv1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client for leader election: %w", err)
	}
	election := opts.LeaderElection
	lock, err := resourcelock.New(election.ResourceLock, election.ResourceNamespace, opts.leaseName(), core, leases,
		resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())})
	if err != nil {
		return nil, fmt.Errorf("make the leader election lock: %w", err)
	}
	return &candidate{work: work, options: opts, lock: lock}, nil
}

// Run implements Runnable. The lease is given back after the work has ended, so
// that two never work at once.
func (c *candidate) Run(ctx context.Context) error {
	leading := make(chan (<-chan struct{}), 1) // closed when the lease is lost
	election := c.options.LeaderElection
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            c.lock,
		LeaseDuration:   election.LeaseDuration.Duration,
		RenewDeadline:   election.RenewDeadline.Duration,
		RetryPeriod:     election.RetryPeriod.Duration,
		ReleaseOnCancel: true,
		Name:            c.options.leaseName(),
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { leading <- ctx.Done() },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("make the leader elector: %w", err)
	}
	// The end of ctx must not end the election while the work still winds down.
	electing, endElection := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(electing)
	}()
	defer func() { endElection(); <-ended }()

	select {
	case <-ctx.Done():
		return nil
	case <-ended:
		return errLostLease
	case lost := <-leading:
		working, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			select {
			case <-lost:
				stop()
			case <-working.Done():
			}
		}()
		if err := c.work.Run(working); err != nil || ctx.Err() != nil {
			return err
		}
		return errLostLease
	}
}
