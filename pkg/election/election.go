// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	componentbaseconfig "k8s.io/component-base/config"
)

// ErrLost says that the lease was lost: another process may work now.
var ErrLost = errors.New("the leader election lease was lost")

// Election is the candidacy of this process for one lease.
type Election struct {
	settings componentbaseconfig.LeaderElectionConfiguration
	identity string
	leases   coordinationv1client.CoordinationV1Interface
}

// New returns a candidacy for the lease that settings name, in the API server
// behind config. The identity tells competitors apart; empty is the name of the
// host and something random. A process that starts again under the identity it had
// takes its lease over at once, where another waits until it runs out; only the name
// of a Pod is known to belong to one process at a time. It has a client of its own, so that a renewal never waits for the
// work's rate limit and gives up early enough to be tried again.
func New(config *rest.Config, settings componentbaseconfig.LeaderElectionConfiguration, identity string) (*Election, error) {
	config = rest.CopyConfig(config)
	config.Timeout = max(time.Second, settings.RenewDeadline.Duration/2)
	leases, err := coordinationv1client.NewForConfig(rest.AddUserAgent(config, "leader-election"))
	if err != nil {
		return nil, fmt.Errorf("make the client for leader election: %w", err)
	}
	if identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name this process for leader election: %w", err)
		}
		identity = host + "_" + string(uuid.NewUUID())
	}
	return &Election{settings: settings, identity: identity, leases: leases}, nil
}

// Defaults returns upstream's settings for the lease with that name.
func Defaults(name, namespace string) componentbaseconfig.LeaderElectionConfiguration {
	return componentbaseconfig.LeaderElectionConfiguration{
		LeaderElect:       true,
		LeaseDuration:     metav1.Duration{Duration: 15 * time.Second},
		RenewDeadline:     metav1.Duration{Duration: 10 * time.Second},
		RetryPeriod:       metav1.Duration{Duration: 2 * time.Second},
		ResourceLock:      resourcelock.LeasesResourceLock,
		ResourceName:      name,
		ResourceNamespace: namespace,
	}
}

// Validate returns what is wrong with settings, naming the flag.
func Validate(settings componentbaseconfig.LeaderElectionConfiguration) error {
	if settings.LeaderElect && settings.ResourceLock != resourcelock.LeasesResourceLock {
		return fmt.Errorf("--leader-elect-resource-lock is %q, must be %q", settings.ResourceLock, resourcelock.LeasesResourceLock)
	}
	return nil
}

// Run waits for the lease and works while this process holds it. It returns the
// error of work, nil when ctx ended, or ErrLost. Without leader election in the
// settings it works at once.
func (e *Election) Run(ctx context.Context, work func(context.Context) error) error {
	if !e.settings.LeaderElect {
		return work(ctx)
	}
	leading := make(chan context.Context, 1)
	elector, err := e.elector(func(ctx context.Context) { leading <- ctx })
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
		return ErrLost
	case elected := <-leading:
		working, stop := context.WithCancel(elected)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		//nolint:contextcheck // working descends from ctx, less its end, which AfterFunc passes on
		if err := work(working); err != nil || ctx.Err() != nil {
			return err
		}
		return ErrLost
	}
}

func (e *Election) elector(onLeading func(context.Context)) (*leaderelection.LeaderElector, error) {
	lock, err := resourcelock.New(e.settings.ResourceLock, e.settings.ResourceNamespace, e.settings.ResourceName, nil, e.leases,
		resourcelock.ResourceLockConfig{Identity: e.identity})
	if err != nil {
		return nil, fmt.Errorf("make the leader election lock: %w", err)
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   e.settings.LeaseDuration.Duration,
		RenewDeadline:   e.settings.RenewDeadline.Duration,
		RetryPeriod:     e.settings.RetryPeriod.Duration,
		ReleaseOnCancel: true,
		Name:            e.settings.ResourceName,
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
