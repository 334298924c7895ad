// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"runtime/debug"

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
	_ "k8s.io/component-base/metrics/prometheus/restclient" // registers client metrics
	_ "k8s.io/component-base/metrics/prometheus/workqueue"  // registers workqueue metrics
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"

	"fleet.dev/fleet/pkg/apiserver"
	"fleet.dev/fleet/pkg/syncer"
)

func init() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// NewServerCommand returns `fleet server`. It takes fleet-apiserver's flags,
// which are kube-apiserver's, and those of the rotation of members' tokens; the
// other components run with their defaults. Its context ends on SIGTERM or SIGINT.
func NewServerCommand() *cobra.Command {
	opts, rotation := apiserver.NewOptions(), syncer.DefaultRotation()
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a whole fleet in one process",
		Long: `Run the API server with an etcd of its own, the scheduler, the controllers and
the syncer in one process. Everything it keeps is in --data-dir; the
administrator's kubeconfig is kubeconfigs/admin.kubeconfig there.

To scale out, run fleet-apiserver, scheduler, controller-manager and syncer as
processes of their own over an external etcd (--etcd-servers).`,
		Example: `  # Start a fleet and look at it
  fleet server --data-dir ~/.fleet --secure-port 6443
  KUBECONFIG=~/.fleet/kubeconfigs/admin.kubeconfig kubectl get namespaces`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := logsapi.ValidateAndApply(opts.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			if err := rotation.Validate(); err != nil {
				return err
			}
			cliflag.PrintFlags(cmd.Flags())
			// Requests the server makes to itself need no deprecation warnings in its log.
			rest.SetDefaultWarningHandler(rest.NoWarnings{})
			if !setsGarbage() {
				debug.SetGCPercent(quietPercent)
			}
			ctx := genericapiserver.SetupSignalContext()
			completed, err := opts.Complete(ctx)
			if err != nil {
				return err
			}
			if errs := completed.Validate(); len(errs) > 0 {
				return errors.Join(utilerrors.NewAggregate(errs), completed.Release())
			}
			server, err := apiserver.New(ctx, completed)
			if err != nil {
				return fmt.Errorf("start the fleet: %w", err)
			}
			return runAll(ctx, server, components(completed, rotation))
		},
	}
	fss := opts.Flags()
	rotation.AddFlags(fss.FlagSet("members"))
	verflag.AddFlags(fss.FlagSet("global"))
	globalflag.AddGlobalFlags(fss.FlagSet("global"), cmd.Name(), logs.SkipLoggingConfigurationFlags())
	for _, fs := range fss.FlagSets {
		cmd.Flags().AddFlagSet(fs)
	}
	cols, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, fss, cols)
	return cmd
}
