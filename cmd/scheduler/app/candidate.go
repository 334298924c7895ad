// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/server/healthz"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// errLostLease says that another scheduler may work now.
var errLostLease = errors.New("the leader election lease was lost")

// candidate does work, while it holds a lease if it has a lock.
type candidate struct {
	work    func(context.Context) error
	options *Options
	lock    resourcelock.Interface // nil without leader election
	working atomic.Bool
}

// elected returns the candidate for work that the options ask for.
func (o *Options) elected(config *rest.Config, work func(context.Context) error) (*candidate, error) {
	c := &candidate{work: work, options: o}
	election := o.LeaderElection
	if !election.LeaderElect {
		return c, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this process for leader election: %w", err)
	}
	config = rest.CopyConfig(config)
	config.Timeout = election.RenewDeadline.Duration / 2
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client for leader election: %w", err)
	}
	leases, err := coordinationv1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client for leader election: %w", err)
	}
	c.lock, err = resourcelock.New(election.ResourceLock, election.ResourceNamespace, election.ResourceName, core, leases,
		resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())})
	if err != nil {
		return nil, fmt.Errorf("make the leader election lock: %w", err)
	}
	return c, nil
}

// ready is the health check of a candidate: one that stands by is ready, one that
// works is when the work is.
func (c *candidate) ready(workReady func() bool) healthz.HealthChecker {
	return healthz.NamedCheck("scheduling", func(*http.Request) error {
		if c.working.Load() && !workReady() {
			return errors.New("templates are not listed yet")
		}
		return nil
	})
}

// run works until ctx ends, which is no error. The lease is given back after the
// work has ended, so that two never work at once.
func (c *candidate) run(ctx context.Context) error {
	if c.lock == nil {
		c.working.Store(true)
		return c.work(ctx)
	}
	leading := make(chan context.Context, 1)
	elector, err := c.elector(func(ctx context.Context) { leading <- ctx })
	if err != nil {
		return err
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
	case elected := <-leading:
		working, stop := context.WithCancel(elected)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		c.working.Store(true)
		if err := c.work(working); err != nil || ctx.Err() != nil {
			return err
		}
		return errLostLease
	}
}

func (c *candidate) elector(onLeading func(context.Context)) (*leaderelection.LeaderElector, error) {
	election := c.options.LeaderElection
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            c.lock,
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
