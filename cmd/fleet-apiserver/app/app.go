// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of fleet-apiserver: flags in, a running
// server out. Everything else is in package apiserver.
package app

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/workqueue" // registers workqueue metrics
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"

	"fleet.dev/fleet/pkg/apiserver"
)

func init() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// NewCommand returns the fleet-apiserver command. Its context ends on SIGTERM or
// SIGINT; a second signal ends the process.
func NewCommand() *cobra.Command {
	opts := apiserver.NewOptions()
	cmd := &cobra.Command{
		Use:   "fleet-apiserver",
		Short: "Serve the fleet's Kubernetes API",
		Long: `fleet-apiserver serves one Kubernetes API in front of many clusters. It takes
kube-apiserver's flags. Without --etcd-servers it runs an etcd of its own in
--data-dir; certificates and an administrator's kubeconfig are made there at the
first start.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := logsapi.ValidateAndApply(opts.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			cliflag.PrintFlags(cmd.Flags())
			// Requests the server makes to itself need no deprecation warnings in its log.
			rest.SetDefaultWarningHandler(rest.NoWarnings{})
			server, err := Prepare(cmd, opts)
			if err != nil {
				return err
			}
			return server.Run(cmd.Context())
		},
	}
	cmd.SetContext(genericapiserver.SetupSignalContext())
	AddFlags(cmd, opts)
	return cmd
}

// AddFlags adds the server's flags, grouped in the help text.
func AddFlags(cmd *cobra.Command, opts *apiserver.Options) {
	fss := opts.Flags()
	verflag.AddFlags(fss.FlagSet("global"))
	globalflag.AddGlobalFlags(fss.FlagSet("global"), cmd.Name(), logs.SkipLoggingConfigurationFlags())
	for _, fs := range fss.FlagSets {
		cmd.Flags().AddFlagSet(fs)
	}
	cols, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, fss, cols)
}

// Prepare completes and validates opts and returns a server to run.
func Prepare(cmd *cobra.Command, opts *apiserver.Options) (*apiserver.Server, error) {
	completed, err := opts.Complete(cmd.Context())
	if err != nil {
		return nil, err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return nil, errors.Join(utilerrors.NewAggregate(errs), completed.Release())
	}
	server, err := apiserver.New(cmd.Context(), completed)
	if err != nil {
		return nil, fmt.Errorf("start fleet-apiserver: %w", err)
	}
	return server, nil
}
