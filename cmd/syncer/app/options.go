// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	leaderelectionoptions "k8s.io/component-base/config/options"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	cmapp "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/pkg/healthz"

	"fleet.dev/fleet/pkg/syncer"
)

const (
	// modePush is the only mode so far.
	modePush = "push"
	// securePort is where health and metrics are served by default.
	securePort = 10359
)

// Options is what the flags set.
type Options struct {
	// Kubeconfig reaches the fleet; empty means the service account of the pod
	// this process runs in.
	Kubeconfig string
	// Mode is push.
	Mode string
	// Members are regular expressions, each for whole names of Clusters. None
	// means all members.
	Members []string
	// Workers is how many works of one member are looked at together.
	Workers        int
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
		Mode:    modePush,
		Workers: syncer.DefaultWorkers,
		LeaderElection: componentbaseconfig.LeaderElectionConfiguration{
			LeaderElect:       true,
			LeaseDuration:     metav1.Duration{Duration: 15 * time.Second},
			RenewDeadline:     metav1.Duration{Duration: 10 * time.Second},
			RetryPeriod:       metav1.Duration{Duration: 2 * time.Second},
			ResourceLock:      "leases",
			ResourceName:      "fleet-syncer",
			ResourceNamespace: metav1.NamespaceSystem,
		},
		SecureServing:  options.NewSecureServingOptions(),
		Authentication: options.NewDelegatingAuthenticationOptions(),
		Authorization:  options.NewDelegatingAuthorizationOptions(),
		Logs:           logs.NewOptions(),
	}
	// An empty directory means a self-signed certificate in memory.
	o.SecureServing.ServerCert.CertDirectory = ""
	o.SecureServing.ServerCert.PairName = "syncer"
	o.SecureServing.BindPort = securePort
	o.Authentication.RemoteKubeConfigFileOptional = true
	o.Authentication.TolerateInClusterLookupFailure = true
	o.Authorization.RemoteKubeConfigFileOptional = true
	return o
}

// Flags returns the flags in the groups of the help text.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var fss cliflag.NamedFlagSets
	generic := fss.FlagSet("generic")
	generic.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Path to a kubeconfig of the fleet. Empty means the service account of the pod this runs in.")
	generic.StringVar(&o.Mode, "mode", o.Mode,
		"Who opens the connection to a member. Only push, in which this process does, is available.")
	generic.StringSliceVar(&o.Members, "members", o.Members,
		"Members to serve: names of Clusters, or regular expressions that match whole names, separated by commas. Empty means all in Push mode.")
	generic.IntVar(&o.Workers, "workers-per-member", o.Workers,
		"How many works of one member are looked at together.")
	leaderelectionoptions.BindLeaderElectionFlags(&o.LeaderElection, generic)
	utilfeature.DefaultMutableFeatureGate.AddFlag(generic)

	o.SecureServing.AddFlags(fss.FlagSet("secure serving"))
	o.Authentication.AddFlags(fss.FlagSet("authentication"))
	o.Authorization.AddFlags(fss.FlagSet("authorization"))
	logsapi.AddFlags(o.Logs, fss.FlagSet("logs"))
	return fss
}

// config validates the options and returns the syncer's configuration.
func (o *Options) config() (syncer.Config, error) {
	serves, err := o.serves()
	if err := utilerrors.NewAggregate(append(o.validate(), err)); err != nil {
		return syncer.Config{}, err
	}
	fleetConfig, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return syncer.Config{}, fmt.Errorf("load the kubeconfig of the fleet (--kubeconfig): %w", err)
	}
	return syncer.Config{FleetConfig: fleetConfig, Members: syncer.Push(serves), Workers: o.Workers}, nil
}

func (o *Options) validate() []error {
	var errs []error
	if o.Mode != modePush {
		errs = append(errs, fmt.Errorf("--mode is %q, must be %q", o.Mode, modePush))
	}
	if o.Workers < 1 {
		errs = append(errs, fmt.Errorf("--workers-per-member is %d, must be at least 1", o.Workers))
	}
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	return append(errs, o.Authorization.Validate()...)
}

// serves returns the choice of members, nil for all.
func (o *Options) serves() (func(string) bool, error) {
	if len(o.Members) == 0 {
		return nil, nil
	}
	var patterns []string
	for _, member := range o.Members {
		if _, err := regexp.Compile(member); err != nil {
			return nil, fmt.Errorf("--members has %q: %w", member, err)
		}
		patterns = append(patterns, "(?:"+member+")")
	}
	whole, err := regexp.Compile("^(?:" + strings.Join(patterns, "|") + ")$")
	if err != nil {
		return nil, fmt.Errorf("--members is %q: %w", o.Members, err)
	}
	return whole.MatchString, nil
}

// leaseName returns the name of the lease of those that serve the same members.
func (o *Options) leaseName() string {
	if len(o.Members) == 0 {
		return o.LeaderElection.ResourceName
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(strings.Join(o.Members, ",")))
	return fmt.Sprintf("%s-%08x", o.LeaderElection.ResourceName, hash.Sum32())
}

// serve serves /healthz and /metrics until ctx ends, and returns a channel that
// is closed when it has stopped.
func (o *Options) serve(ctx context.Context) (<-chan struct{}, error) {
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
	mux := cmapp.NewBaseHandler(&componentbaseconfig.DebuggingConfiguration{}, healthz.NewMutableHealthzHandler())
	stopped, _, err := serving.Serve(cmapp.BuildHandlerChain(mux, &authorization, &authentication), 0, ctx.Done())
	return stopped, err
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
