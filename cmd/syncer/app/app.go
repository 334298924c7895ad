// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of the syncer: flags in, a running syncer or
// agent out. Everything else is in packages syncer and agent.
package app

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/mux"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // registers client metrics
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/election"
)

func init() {
	utilruntime.Must(logsapi.AddFeatureGates(utilfeature.DefaultMutableFeatureGate))
}

// NewCommand returns the syncer command. Its context ends on SIGTERM or SIGINT; a
// second signal ends the process.
func NewCommand() *cobra.Command {
	opts := NewOptions()
	cmd := &cobra.Command{
		Use:   "syncer",
		Short: "Carry works to the members of a fleet and report back",
		Long: `syncer applies to members what the fleet decided for them, puts right what is
changed there, deletes what the fleet gave up, and reports the status of it all.

In push mode it runs beside the fleet's API server and connects to the members
in Push mode. Several may run: those that serve the same members elect one that
works, those that serve different ones (--members) work side by side.

In pull mode it is the agent of the one member it runs in, named by --cluster.
It dials out only: it asks the fleet to let the member in, keeps its certificate
fresh, carries works, and lets the fleet's users reach the member through a
tunnel. "fleet register" and "fleet agent manifest" install it. In a Pod it needs
no flag but --cluster. Elsewhere, --member-kubeconfig reaches the member; its
credentials are in Secret fleet-system/fleet-agent of the member all the same.`,
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

// podName is the environment variable with the name of the Pod this runs in, which
// manifests of the agent set.
const podName = "POD_NAME"

// component is what a mode runs.
type component struct {
	name string
	run  func(context.Context) error
	// ready returns nil when the work is as it should be.
	ready func() error
	// home is the cluster whose Lease elects the process that works, and homeFile
	// its kubeconfig, empty in a Pod; its users read the metrics.
	home     *rest.Config
	homeFile string
}

// run serves health and metrics and runs the component until ctx ends.
func run(ctx context.Context, opts *Options) error {
	c, err := opts.component()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(klog.NewContext(ctx, klog.FromContext(ctx).WithName(c.name)))
	defer stop()
	candidacy, err := election.New(c.home, opts.election(), os.Getenv(podName))
	if err != nil {
		return err
	}
	var working atomic.Bool
	stopped, err := opts.Serving.Serve(ctx, c.homeFile, handler(c, &working))
	if err != nil {
		return err
	}
	err = candidacy.Run(ctx, func(ctx context.Context) error {
		working.Store(true)
		return c.run(ctx)
	})
	stop()
	<-stopped
	return asExit(err)
}

// handler serves health and metrics. A process that stands by is ready, one that
// works is when its work is.
func handler(c *component, working *atomic.Bool) http.Handler {
	paths := mux.NewPathRecorderMux(c.name)
	healthz.InstallHandler(paths)
	healthz.InstallLivezHandler(paths)
	healthz.InstallReadyzHandler(paths, healthz.NamedCheck("work", func(*http.Request) error {
		if !working.Load() {
			return nil
		}
		return c.ready()
	}))
	paths.Handle("/metrics", legacyregistry.HandlerWithReset())
	return paths
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
