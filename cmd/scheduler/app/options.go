// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/server/routes"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	leaderelectionoptions "k8s.io/component-base/config/options"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	cmapp "k8s.io/controller-manager/app"

	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/config"
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
	// SecureServing is where health and metrics are served; port 0 is nowhere.
	SecureServing *options.SecureServingOptions
	// Authentication and Authorization ask the fleet who may read metrics, with
	// Kubeconfig unless they name another.
	Authentication *options.DelegatingAuthenticationOptions
	Authorization  *options.DelegatingAuthorizationOptions
	Logs           *logs.Options
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	o := &Options{
		Profiling: true,
		LeaderElection: componentbaseconfig.LeaderElectionConfiguration{
			LeaderElect:       true,
			LeaseDuration:     metav1.Duration{Duration: 15 * time.Second},
			RenewDeadline:     metav1.Duration{Duration: 10 * time.Second},
			RetryPeriod:       metav1.Duration{Duration: 2 * time.Second},
			ResourceLock:      "leases",
			ResourceName:      "fleet-scheduler",
			ResourceNamespace: metav1.NamespaceSystem,
		},
		SecureServing:  options.NewSecureServingOptions(),
		Authentication: options.NewDelegatingAuthenticationOptions(),
		Authorization:  options.NewDelegatingAuthorizationOptions(),
		Logs:           logs.NewOptions(),
	}
	// An empty directory means a self-signed certificate in memory.
	o.SecureServing.ServerCert.CertDirectory = ""
	o.SecureServing.ServerCert.PairName = "scheduler"
	o.SecureServing.BindPort = securePort
	o.Authentication.RemoteKubeConfigFileOptional = true
	o.Authorization.RemoteKubeConfigFileOptional = true
	return o
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

	o.SecureServing.AddFlags(fss.FlagSet("secure serving"))
	o.Authentication.AddFlags(fss.FlagSet("authentication"))
	o.Authorization.AddFlags(fss.FlagSet("authorization"))
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
	var errs []error
	if o.LeaderElection.LeaderElect && o.LeaderElection.ResourceLock != "leases" {
		errs = append(errs, errors.New(`--leader-elect-resource-lock must be "leases"`))
	}
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	return append(errs, o.Authorization.Validate()...)
}

// serve serves health, metrics and profiles until ctx ends, and returns a channel
// that is closed when it has stopped.
func (o *Options) serve(ctx context.Context, ready healthz.HealthChecker) (<-chan struct{}, error) {
	o.defaultKubeconfigs()
	if err := o.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, fmt.Errorf("make a serving certificate: %w", err)
	}
	var serving *genericapiserver.SecureServingInfo
	if err := o.SecureServing.ApplyTo(&serving); err != nil {
		return nil, err
	}
	if serving == nil { // --secure-port=0
		closed := make(chan struct{})
		close(closed)
		return closed, nil
	}
	var authentication genericapiserver.AuthenticationInfo
	if err := o.Authentication.ApplyTo(&authentication, serving, nil); err != nil {
		return nil, err
	}
	var authorization genericapiserver.AuthorizationInfo
	if err := o.Authorization.ApplyTo(&authorization); err != nil {
		return nil, err
	}
	stopped, _, err := serving.Serve(cmapp.BuildHandlerChain(o.handler(ready), &authorization, &authentication), 0, ctx.Done())
	return stopped, err
}

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

// defaultKubeconfigs lets the fleet itself authenticate and authorize requests
// for metrics, unless the flags say otherwise.
func (o *Options) defaultKubeconfigs() {
	if o.Authentication.RemoteKubeConfigFile == "" {
		o.Authentication.RemoteKubeConfigFile = o.Kubeconfig
	}
	if o.Authorization.RemoteKubeConfigFile == "" {
		o.Authorization.RemoteKubeConfigFile = o.Kubeconfig
	}
}
