// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of the scheduler: flags in, a running scheduler
// out. Everything else is in package scheduler.
//
// A scheduler with plugins of one's own is a program that calls
// NewCommand(WithPlugin(...)) and names the plugins in its configuration file.
package app

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // registers client metrics
	_ "k8s.io/component-base/metrics/prometheus/workqueue"  // registers workqueue metrics
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/election"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
)

func init() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// Option adds to the scheduler of a command.
type Option func(registry runtime.Registry) error

// WithPlugin registers a plugin that is not built in, so that profiles can enable
// it.
func WithPlugin(name string, factory runtime.PluginFactory) Option {
	return func(registry runtime.Registry) error { return registry.Register(name, factory) }
}

// NewCommand returns the scheduler command. Its context ends on SIGTERM or SIGINT;
// a second signal ends the process.
func NewCommand(registrations ...Option) *cobra.Command {
	opts := NewOptions()
	cmd := &cobra.Command{
		Use:   "scheduler",
		Short: "Decide which members of a fleet run what",
		Long: `scheduler keeps a binding for every object in the fleet that is to run or to be
present in members: which members, how many replicas on each, which overrides.
It follows the propagation policies, and places by kind where those say auto.

Several may run; one works at a time, elected by a Lease in kube-system.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := logsapi.ValidateAndApply(opts.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			cliflag.PrintFlags(cmd.Flags())
			return run(cmd.Context(), opts, registrations)
		},
	}
	cmd.SetContext(genericapiserver.SetupSignalContext())
	addFlags(cmd, opts)
	return cmd
}

// run serves health and metrics and runs the scheduler until ctx ends.
func run(ctx context.Context, opts *Options, registrations []Option) error {
	config, err := opts.config()
	if err != nil {
		return err
	}
	config.Plugins = runtime.Registry{}
	for _, register := range registrations {
		if err := register(config.Plugins); err != nil {
			return err
		}
	}
	s, err := scheduler.New(config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(klog.NewContext(ctx, klog.FromContext(ctx).WithName("scheduler")))
	defer stop()
	candidacy, err := election.New(config.FleetConfig, opts.LeaderElection, "")
	if err != nil {
		return err
	}
	var work work
	stopped, err := opts.Serving.Serve(ctx, opts.Kubeconfig, opts.handler(work.ready(s.Ready)))
	if err != nil {
		return err
	}
	err = candidacy.Run(ctx, work.begun(s.Run))
	stop()
	<-stopped
	return err
}

// work is what a process does once it is elected.
type work struct{ running atomic.Bool }

// begun notes that the work runs when it does.
func (w *work) begun(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		w.running.Store(true)
		return run(ctx)
	}
}

// ready is the health check: a process that stands by is ready, one that works is
// when the work is.
func (w *work) ready(workReady func() bool) healthz.HealthChecker {
	return healthz.NamedCheck("scheduling", func(*http.Request) error {
		if w.running.Load() && !workReady() {
			return errors.New("templates are not listed yet")
		}
		return nil
	})
}

func addFlags(cmd *cobra.Command, opts *Options) {
	fss := opts.Flags()
	verflag.AddFlags(fss.FlagSet("global"))
	globalflag.AddGlobalFlags(fss.FlagSet("global"), cmd.Name(), logs.SkipLoggingConfigurationFlags())
	for _, fs := range fss.FlagSets {
		cmd.Flags().AddFlagSet(fs)
	}
	cols, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, fss, cols)
}
