// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package serving

import (
	"context"
	"fmt"
	"net"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
	cmapp "k8s.io/controller-manager/app"
)

// Options are the flags.
type Options struct {
	// SecureServing is where to serve; port 0 is nowhere.
	SecureServing *options.SecureServingOptions
	// Authentication and Authorization ask an API server who may read.
	Authentication *options.DelegatingAuthenticationOptions
	Authorization  *options.DelegatingAuthorizationOptions
}

// NewOptions returns the defaults for a component: its port, and a self-signed
// certificate in memory that carries its name.
func NewOptions(component string, port int) *Options {
	o := &Options{
		SecureServing:  options.NewSecureServingOptions(),
		Authentication: options.NewDelegatingAuthenticationOptions(),
		Authorization:  options.NewDelegatingAuthorizationOptions(),
	}
	o.SecureServing.ServerCert.CertDirectory = "" // in memory
	o.SecureServing.ServerCert.PairName = component
	o.SecureServing.BindPort = port
	o.Authentication.RemoteKubeConfigFileOptional = true
	o.Authentication.TolerateInClusterLookupFailure = true
	o.Authorization.RemoteKubeConfigFileOptional = true
	return o
}

// AddFlags adds the flags in the groups of the help text.
func (o *Options) AddFlags(fss *cliflag.NamedFlagSets) {
	o.SecureServing.AddFlags(fss.FlagSet("secure serving"))
	o.Authentication.AddFlags(fss.FlagSet("authentication"))
	o.Authorization.AddFlags(fss.FlagSet("authorization"))
}

// Validate returns every mistake in the flags.
func (o *Options) Validate() []error {
	errs := o.SecureServing.Validate()
	errs = append(errs, o.Authentication.Validate()...)
	return append(errs, o.Authorization.Validate()...)
}

// Serve serves handler until ctx ends and returns a channel that is closed when
// it has stopped. The API server behind kubeconfig says who may read, unless the
// flags name another.
func (o *Options) Serve(ctx context.Context, kubeconfig string, handler http.Handler) (<-chan struct{}, error) {
	if err := o.SecureServing.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return nil, fmt.Errorf("make a serving certificate: %w", err)
	}
	var info *genericapiserver.SecureServingInfo
	if err := o.SecureServing.ApplyTo(&info); err != nil {
		return nil, fmt.Errorf("serve health and metrics: %w", err)
	}
	if info == nil { // --secure-port=0
		closed := make(chan struct{})
		close(closed)
		return closed, nil
	}
	if o.Authentication.RemoteKubeConfigFile == "" {
		o.Authentication.RemoteKubeConfigFile = kubeconfig
	}
	if o.Authorization.RemoteKubeConfigFile == "" {
		o.Authorization.RemoteKubeConfigFile = kubeconfig
	}
	var authentication genericapiserver.AuthenticationInfo
	if err := o.Authentication.ApplyTo(&authentication, info, nil); err != nil {
		return nil, fmt.Errorf("authenticate readers of health and metrics: %w", err)
	}
	var authorization genericapiserver.AuthorizationInfo
	if err := o.Authorization.ApplyTo(&authorization); err != nil {
		return nil, fmt.Errorf("authorize readers of health and metrics: %w", err)
	}
	stopped, _, err := info.Serve(cmapp.BuildHandlerChain(handler, &authorization, &authentication), 0, ctx.Done())
	if err != nil {
		return nil, fmt.Errorf("serve health and metrics: %w", err)
	}
	return stopped, nil
}
