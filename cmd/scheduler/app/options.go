// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	leaderelectionoptions "k8s.io/component-base/config/options"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics/legacyregistry"

	"fleet.dev/fleet/pkg/election"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/config"
	"fleet.dev/fleet/pkg/serving"
)

// securePort is where health and metrics are served by default, the port of
// kube-scheduler.
const securePort = 10259

// Options is what the flags set.
type Options struct {
	// Kubeconfig reaches the fleet; empty means the service account of the pod
	// this process runs in.
	Kubeconfig string
	// ConfigFile is a SchedulerConfiguration; empty means the default one.
	ConfigFile string
	// Profiling serves profiles beside the metrics.
	Profiling      bool
	LeaderElection componentbaseconfig.LeaderElectionConfiguration
	// Serving is where health and metrics are served.
	Serving *serving.Options
	Logs    *logs.Options
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		Profiling:      true,
		LeaderElection: election.Defaults("fleet-scheduler", metav1.NamespaceSystem),
		Serving:        serving.NewOptions("scheduler", securePort),
		Logs:           logs.NewOptions(),
	}
}

// Flags returns the flags in the groups of the help text.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var fss cliflag.NamedFlagSets
	generic := fss.FlagSet("generic")
	generic.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Path to a kubeconfig of the fleet. Empty means the service account of the pod this runs in.")
	generic.StringVar(&o.ConfigFile, "config", o.ConfigFile,
		"Path to a file of kind "+config.Kind+" in "+config.APIVersion+". Empty means the defaults.")
	generic.BoolVar(&o.Profiling, "profiling", o.Profiling, "Serve profiles at /debug/pprof/.")
	leaderelectionoptions.BindLeaderElectionFlags(&o.LeaderElection, generic)
	utilfeature.DefaultMutableFeatureGate.AddFlag(generic)

	o.Serving.AddFlags(&fss)
	logsapi.AddFlags(o.Logs, fss.FlagSet("logs"))
	return fss
}

// config validates the options and returns the configuration of the scheduler.
func (o *Options) config() (scheduler.Config, error) {
	if err := utilerrors.NewAggregate(o.validate()); err != nil {
		return scheduler.Config{}, err
	}
	configuration := config.Default()
	if o.ConfigFile != "" {
		loaded, err := config.Load(o.ConfigFile)
		if err != nil {
			return scheduler.Config{}, err
		}
		configuration = loaded
	}
	fleetConfig, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return scheduler.Config{}, fmt.Errorf("load the kubeconfig of the fleet (--kubeconfig): %w", err)
	}
	return scheduler.Config{FleetConfig: fleetConfig, Configuration: configuration}, nil
}

func (o *Options) validate() []error {
	return append(o.Serving.Validate(), election.Validate(o.LeaderElection))
}

// handler serves health, metrics and profiles.
func (o *Options) handler(ready healthz.HealthChecker) http.Handler {
	paths := mux.NewPathRecorderMux("scheduler")
	healthz.InstallHandler(paths)
	healthz.InstallLivezHandler(paths)
	healthz.InstallReadyzHandler(paths, ready)
	paths.Handle("/metrics", legacyregistry.HandlerWithReset())
	if o.Profiling {
		routes.Profiling{}.Install(paths)
	}
	return paths
}
