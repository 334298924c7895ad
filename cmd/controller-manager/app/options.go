// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	leaderelectionoptions "k8s.io/component-base/config/options"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	cmapp "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/pkg/healthz"
	kubeoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
	"k8s.io/kubernetes/pkg/cluster/ports"

	"fleet.dev/fleet/pkg/controllers/manager"
)

// Options is what the flags set. Their names and meanings are
// kube-controller-manager's; flags of controllers that do not run here are
// absent.
type Options struct {
	// Kubeconfig reaches the fleet; empty means the service account of the pod
	// this process runs in.
	Kubeconfig string
	// Manager is the configuration of the controllers.
	Manager *manager.Config
	// SecureServing is where health and metrics are served; port 0 is nowhere.
	SecureServing *options.SecureServingOptions
	// Authentication and Authorization ask the fleet who may read metrics, with
	// Kubeconfig unless they name another.
	Authentication *options.DelegatingAuthenticationOptions
	Authorization  *options.DelegatingAuthorizationOptions
	Logs           *logs.Options
}

// NewOptions returns the defaults.
func NewOptions() (*Options, error) {
	config, err := manager.NewConfig(nil)
	if err != nil {
		return nil, err
	}
	o := &Options{
		Manager:        config,
		SecureServing:  options.NewSecureServingOptions(),
		Authentication: options.NewDelegatingAuthenticationOptions(),
		Authorization:  options.NewDelegatingAuthorizationOptions(),
		Logs:           logs.NewOptions(),
	}
	// An empty directory means a self-signed certificate in memory.
	o.SecureServing.ServerCert.CertDirectory = ""
	o.SecureServing.ServerCert.PairName = "controller-manager"
	o.SecureServing.BindPort = ports.KubeControllerManagerPort
	config.Kube.Generic.Debugging.EnableProfiling = true // upstream's default of the flag
	o.Authentication.RemoteKubeConfigFileOptional = true
	o.Authorization.RemoteKubeConfigFileOptional = true
	return o, nil
}

// Flags returns the flags in the groups of the help text.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var fss cliflag.NamedFlagSets
	kube := &o.Manager.Kube
	generic := fss.FlagSet("generic")
	generic.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Path to a kubeconfig of the fleet. Empty means the service account of the pod this runs in.")
	generic.StringSliceVar(&kube.Generic.Controllers, "controllers", kube.Generic.Controllers, fmt.Sprintf(
		"Controllers to run: '*' is all, 'foo' is the one named 'foo', '-foo' is not that one.\nAll controllers: %s",
		strings.Join(manager.Names(), ", ")))
	generic.Float32Var(&kube.Generic.ClientConnection.QPS, "kube-api-qps", kube.Generic.ClientConnection.QPS,
		"Requests per second that the controllers send to the fleet.")
	generic.Int32Var(&kube.Generic.ClientConnection.Burst, "kube-api-burst", kube.Generic.ClientConnection.Burst,
		"Burst of requests that the controllers send to the fleet.")
	generic.StringVar(&kube.Generic.ClientConnection.ContentType, "kube-api-content-type", kube.Generic.ClientConnection.ContentType,
		"Content type of requests for native kinds.")
	generic.DurationVar(&kube.Generic.MinResyncPeriod.Duration, "min-resync-period", kube.Generic.MinResyncPeriod.Duration,
		"The resync period in reflectors will be random between MinResyncPeriod and 2*MinResyncPeriod.")
	generic.DurationVar(&o.Manager.ShutdownTimeout, "controller-shutdown-timeout", o.Manager.ShutdownTimeout,
		"Time to wait for the controllers to stop before giving up on them.")
	leaderelectionoptions.BindLeaderElectionFlags(&kube.Generic.LeaderElection, generic)

	debugging := fss.FlagSet("debugging")
	debugging.BoolVar(&kube.Generic.Debugging.EnableProfiling, "profiling", kube.Generic.Debugging.EnableProfiling,
		"Serve profiles at /debug/pprof/.")
	debugging.BoolVar(&kube.Generic.Debugging.EnableContentionProfiling, "contention-profiling", kube.Generic.Debugging.EnableContentionProfiling,
		"Profile lock contention too.")

	o.addControllerFlags(&fss)
	o.SecureServing.AddFlags(fss.FlagSet("secure serving"))
	o.Authentication.AddFlags(fss.FlagSet("authentication"))
	o.Authorization.AddFlags(fss.FlagSet("authorization"))
	logsapi.AddFlags(o.Logs, fss.FlagSet("logs"))
	return fss
}

// addControllerFlags adds upstream's own flags of the controllers that run here.
func (o *Options) addControllerFlags(fss *cliflag.NamedFlagSets) {
	kube := &o.Manager.Kube
	(&kubeoptions.CSRSigningControllerOptions{CSRSigningControllerConfiguration: &kube.CSRSigningController}).
		AddFlags(fss.FlagSet(names.CertificateSigningRequestSigningController))
	(&kubeoptions.GarbageCollectorControllerOptions{GarbageCollectorControllerConfiguration: &kube.GarbageCollectorController}).
		AddFlags(fss.FlagSet(names.GarbageCollectorController))
	(&kubeoptions.LegacySATokenCleanerOptions{LegacySATokenCleanerConfiguration: &kube.LegacySATokenCleaner}).
		AddFlags(fss.FlagSet(names.LegacyServiceAccountTokenCleanerController))
	(&kubeoptions.NamespaceControllerOptions{NamespaceControllerConfiguration: &kube.NamespaceController}).
		AddFlags(fss.FlagSet(names.NamespaceController))
	(&kubeoptions.ResourceQuotaControllerOptions{ResourceQuotaControllerConfiguration: &kube.ResourceQuotaController}).
		AddFlags(fss.FlagSet(names.ResourceQuotaController))
	(&kubeoptions.SAControllerOptions{SAControllerConfiguration: &kube.SAController}).
		AddFlags(fss.FlagSet(names.ServiceAccountController))
	(&kubeoptions.TTLAfterFinishedControllerOptions{TTLAfterFinishedControllerConfiguration: &kube.TTLAfterFinishedController}).
		AddFlags(fss.FlagSet(names.TTLAfterFinishedController))
	(&kubeoptions.ValidatingAdmissionPolicyStatusControllerOptions{ValidatingAdmissionPolicyStatusControllerConfiguration: &kube.ValidatingAdmissionPolicyStatusController}).
		AddFlags(fss.FlagSet(names.ValidatingAdmissionPolicyStatusController))
}

// Config validates the options and returns the manager's configuration.
func (o *Options) Config() (*manager.Config, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	restConfig, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("load the kubeconfig of the fleet (--kubeconfig): %w", err)
	}
	config := *o.Manager
	config.RESTConfig = restConfig
	return &config, nil
}

func (o *Options) validate() error {
	kube := &o.Manager.Kube
	var errs []error
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	errs = append(errs, o.Authorization.Validate()...)
	errs = append(errs, (&kubeoptions.CSRSigningControllerOptions{CSRSigningControllerConfiguration: &kube.CSRSigningController}).Validate()...)
	if election := kube.Generic.LeaderElection; election.LeaderElect && election.ResourceLock != "leases" {
		errs = append(errs, errors.New(`--leader-elect-resource-lock must be "leases"`))
	}
	return utilerrors.NewAggregate(errs)
}

// serve serves /healthz, /metrics and profiles until ctx ends, and returns a
// channel that is closed when it has stopped.
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
	mux := cmapp.NewBaseHandler(&o.Manager.Kube.Generic.Debugging, healthz.NewMutableHealthzHandler())
	stopped, _, err := serving.Serve(cmapp.BuildHandlerChain(mux, &authorization, &authentication), 0, ctx.Done())
	return stopped, err
}

// defaultKubeconfigs lets the fleet itself authenticate and authorize requests
// for health and metrics, unless the flags say otherwise.
func (o *Options) defaultKubeconfigs() {
	if o.Authentication.RemoteKubeConfigFile == "" {
		o.Authentication.RemoteKubeConfigFile = o.Kubeconfig
	}
	if o.Authorization.RemoteKubeConfigFile == "" {
		o.Authorization.RemoteKubeConfigFile = o.Kubeconfig
	}
}
