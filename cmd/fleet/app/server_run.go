// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apiserver"
	"fleet.dev/fleet/pkg/controllers/manager"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/syncer"
)

// runnable is a component that works until its context ends.
type runnable interface {
	Run(ctx context.Context) error
}

// component makes one part of the fleet. It talks to the API server as a client
// with an identity of its own, as it would from a process of its own.
type component struct {
	name       string
	kubeconfig string
	make       func(*rest.Config) (runnable, error)
}

// components are all parts but the API server, in the order they are made.
func components(opts apiserver.CompletedOptions, rotation syncer.Rotation) []component {
	return []component{
		{"controller-manager", opts.Kubeconfig("controller-manager"), func(config *rest.Config) (runnable, error) {
			return newManager(config, opts)
		}},
		{"scheduler", opts.Kubeconfig("scheduler"), func(config *rest.Config) (runnable, error) {
			return scheduler.New(scheduler.Config{FleetConfig: config})
		}},
		{"syncer", opts.Kubeconfig("syncer"), func(config *rest.Config) (runnable, error) {
			return syncer.New(syncer.Config{FleetConfig: config, Members: syncer.Push(nil), Rotation: rotation})
		}},
	}
}

func newManager(config *rest.Config, opts apiserver.CompletedOptions) (runnable, error) {
	c, err := manager.NewConfig(config)
	if err != nil {
		return nil, err
	}
	files := opts.PKI()
	c.Kube.SAController.ServiceAccountKeyFile = files.ServiceAccountKey
	c.Kube.SAController.RootCAFile = files.CACert
	c.Kube.CSRSigningController.ClusterSigningCertFile = files.CACert
	c.Kube.CSRSigningController.ClusterSigningKeyFile = files.CAKey
	c.Kube.Generic.LeaderElection.LeaderElect = false // nobody to compete with
	return manager.New(c)
}

// runAll serves, and runs the components once the server is ready. The first to
// fail stops all; a component that returns while it should work has failed.
func runAll(ctx context.Context, server *apiserver.Server, parts []component) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error { collectGarbage(ctx, clock.RealClock{}); return nil })
	group.Go(func() error {
		if err := ignoreStop(ctx, server.WaitReady(ctx)); err != nil || ctx.Err() != nil {
			return err
		}
		for _, part := range parts {
			config, err := clientcmd.BuildConfigFromFlags("", part.kubeconfig)
			if err != nil {
				return fmt.Errorf("load kubeconfig of %s: %w", part.name, err)
			}
			config.QPS = -1 // the server's priority and fairness is the limit
			run, err := part.make(rest.AddUserAgent(config, part.name))
			if err != nil {
				return fmt.Errorf("make %s: %w", part.name, err)
			}
			group.Go(func() error { return runPart(ctx, part.name, run) })
		}
		klog.FromContext(ctx).Info("Fleet is up", "kubeconfig", server.AdminKubeconfig())
		return nil
	})
	return group.Wait()
}

func runPart(ctx context.Context, name string, part runnable) error {
	logger := klog.LoggerWithName(klog.FromContext(ctx), name)
	err := part.Run(klog.NewContext(ctx, logger))
	if ctx.Err() != nil {
		return ignoreStop(ctx, err)
	}
	if err == nil {
		return fmt.Errorf("%s stopped by itself", name)
	}
	return fmt.Errorf("run %s: %w", name, err)
}

// ignoreStop drops the error of work that was told to stop.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}
