// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of the syncer: flags in, a running syncer out.
// Everything else is in package syncer.
package app

import (
	"context"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // registers client metrics
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/syncer"
)

func init() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// Runnable works until its context ends.
type Runnable interface {
	// Run returns nil when ctx ended.
	Run(ctx context.Context) error
}

// NewCommand returns the syncer command. Its context ends on SIGTERM or SIGINT; a
// second signal ends the process.
func NewCommand() *cobra.Command {
	opts := NewOptions()
	cmd := &cobra.Command{
		Use:   "syncer",
		Short: "Carry works to the members of a fleet and report back",
		Long: `syncer runs beside the fleet's API server and connects to the members in Push
mode. It applies to each member what the fleet decided for it, puts right what
is changed there, deletes what the fleet gave up, and reports the status of it
all.

Several may run. Those that serve the same members elect one that works; those
that serve different ones (--members) work side by side.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := logsapi.ValidateAndApply(opts.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			cliflag.PrintFlags(cmd.Flags())
			return run(cmd.Context(), opts)
		},
	}
	cmd.SetContext(genericapiserver.SetupSignalContext())
	addFlags(cmd, opts)
	return cmd
}

// New makes the syncer the options describe, with leader election unless it is
// switched off.
func New(opts *Options) (Runnable, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	s, err := syncer.New(config)
	if err != nil {
		return nil, err
	}
	if !opts.LeaderElection.LeaderElect {
		return s, nil
	}
	return newCandidate(opts, config.FleetConfig, s)
}

// run serves health and metrics and runs the syncer until ctx ends.
func run(ctx context.Context, opts *Options) error {
	runnable, err := New(opts)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(klog.NewContext(ctx, klog.FromContext(ctx).WithName("syncer")))
	defer stop()
	stopped, err := opts.serve(ctx)
	if err != nil {
		return err
	}
	err = runnable.Run(ctx)
	stop()
	<-stopped
	return err
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
