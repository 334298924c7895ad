// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of the fleet's controller manager: flags in,
// a running manager out. Everything else is in package manager.
package app

import (
	"context"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // registers client metrics
	_ "k8s.io/component-base/metrics/prometheus/workqueue"  // registers workqueue metrics
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"

	"fleet.dev/fleet/pkg/controllers/manager"
)

func init() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// NewCommand returns the controller-manager command. Its context ends on SIGTERM
// or SIGINT; a second signal ends the process.
func NewCommand() *cobra.Command {
	opts, err := NewOptions()
	utilruntime.Must(err) // only fails when upstream's defaults contradict themselves
	cmd := &cobra.Command{
		Use:   "controller-manager",
		Short: "Run the controllers of a fleet",
		Long: `controller-manager runs the controllers of a fleet: those of Kubernetes that
work without nodes (namespaces, garbage collection, service accounts and their
tokens, the root CA, aggregated cluster roles, resource quotas, TTL of finished
jobs, certificate signing requests, bootstrap tokens, admission policy status),
unchanged and with kube-controller-manager's flags, and those of the fleet.

Several may run; one works at a time, elected by a Lease in kube-system.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := logsapi.ValidateAndApply(opts.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			cliflag.PrintFlags(cmd.Flags())
			// Controllers watch deprecated APIs too; warnings about those help nobody here.
			rest.SetDefaultWarningHandler(rest.NoWarnings{})
			return run(cmd.Context(), opts)
		},
	}
	cmd.SetContext(genericapiserver.SetupSignalContext())
	addFlags(cmd, opts)
	return cmd
}

// run serves health and metrics and runs the manager until ctx ends.
func run(ctx context.Context, opts *Options) error {
	config, err := opts.Config()
	if err != nil {
		return err
	}
	m, err := manager.New(config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	stopped, err := opts.serve(ctx)
	if err != nil {
		stop()
		return err
	}
	err = m.Run(ctx)
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
