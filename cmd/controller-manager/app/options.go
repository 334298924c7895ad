// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
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
	"fleet.dev/fleet/pkg/election"
	"fleet.dev/fleet/pkg/serving"
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
	// Serving is where health and metrics are served.
	Serving *serving.Options
	Logs    *logs.Options
}

// NewOptions returns the defaults.
func NewOptions() (*Options, error) {
	config, err := manager.NewConfig(nil)
	if err != nil {
		return nil, err
	}
	config.Kube.Generic.Debugging.EnableProfiling = true // upstream's default of the flag
	return &Options{
		Manager: config,
		Serving: serving.NewOptions("controller-manager", ports.KubeControllerManagerPort),
		Logs:    logs.NewOptions(),
	}, nil
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
	o.Serving.AddFlags(&fss)
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
	(&kubeoptions.HPAControllerOptions{HPAControllerConfiguration: &kube.HPAController}).
		AddFlags(fss.FlagSet(names.HorizontalPodAutoscalerController))
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
	errs := o.Serving.Validate()
	errs = append(errs, (&kubeoptions.CSRSigningControllerOptions{CSRSigningControllerConfiguration: &kube.CSRSigningController}).Validate()...)
	errs = append(errs, election.Validate(kube.Generic.LeaderElection))
	return utilerrors.NewAggregate(errs)
}

// serve serves /healthz, /metrics and profiles until ctx ends, and returns a
// channel that is closed when it has stopped.
func (o *Options) serve(ctx context.Context) (<-chan struct{}, error) {
	return o.Serving.Serve(ctx, o.Kubeconfig, cmapp.NewBaseHandler(&o.Manager.Kube.Generic.Debugging, healthz.NewMutableHealthzHandler()))
}
