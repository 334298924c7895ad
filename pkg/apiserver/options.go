// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/features"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	kubeoptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
	"k8s.io/utils/clock"
	netutils "k8s.io/utils/net"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/apiserver/admission/placementpreview"
	"fleet.dev/fleet/pkg/apiserver/agentauth"
	"fleet.dev/fleet/pkg/pki"
)

const (
	// DefaultDataDir is where a fleet keeps its etcd, certificates and kubeconfigs.
	DefaultDataDir = "/var/lib/fleet"
	// serviceClusterIPRange gives fleet Services their virtual addresses. They are
	// never routed; a /12 is kubeadm's default and leaves room for a million.
	serviceClusterIPRange = "10.96.0.0/12"
	// serviceAccountIssuer is the `iss` of tokens when --service-account-issuer is empty.
	serviceAccountIssuer = "https://kubernetes.default.svc.cluster.local"
)

// Options are the flags of the fleet API server: all of kube-apiserver's and a
// few of its own.
type Options struct {
	*kubeoptions.ServerRunOptions

	// DataDir holds etcd/, pki/ and kubeconfigs/. Mode 0700.
	DataDir string
	// TLSSANs are further DNS names and IPs for the serving certificate.
	TLSSANs []string
	// EmbeddedEtcd configures the etcd that runs when --etcd-servers is empty.
	EmbeddedEtcd EmbeddedEtcdOptions
	// Agents are about members in Pull mode.
	Agents AgentOptions

	// Projections are about objects of members that are shown in the fleet.
	Projections ProjectionOptions

	// clusters is what admission and authorization know of members.
	clusters *agentauth.Clusters
	// placements is what dry runs are told of placements from.
	placements *placementpreview.Fleet
}

// NewOptions returns kube-apiserver's defaults with the fleet's changes.
func NewOptions() *Options {
	o := &Options{
		ServerRunOptions: kubeoptions.NewServerRunOptions(),
		DataDir:          DefaultDataDir,
		EmbeddedEtcd:     newEmbeddedEtcdOptions(),
		Agents:           newAgentOptions(),
		clusters:         &agentauth.Clusters{},
		placements:       placementpreview.NewFleet(),
	}
	o.ServiceClusterIPRanges = serviceClusterIPRange
	// There is no in-cluster network that would reach this address.
	o.EndpointReconcilerType = string(reconcilers.NoneEndpointReconcilerType)
	o.Authorization.Modes = []string{"RBAC"}
	// Members in Pull mode start with a token.
	o.Authentication.BootstrapToken.Enable = true
	// Members decide what may run privileged; Pod Security admission still applies here.
	o.AllowPrivileged = true
	o.Admission.GenericAdmission.DefaultOffPlugins = DefaultOffAdmissionPlugins()
	registerAdmissionPlugins(o.Admission.GenericAdmission, o.clusters, o.placements)
	// Leases of nodes belong to members.
	o.SystemNamespaces = []string{"kube-system", "kube-public", "default"}
	return o
}

// Flags returns all flags by section, for help text grouped as kube-apiserver's.
func (o *Options) Flags() cliflag.NamedFlagSets {
	fss := o.ServerRunOptions.Flags()
	fs := fss.FlagSet("fleet")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Directory for the embedded etcd, certificates and kubeconfigs. "+
		"Created with mode 0700; a second server must not share it.")
	fs.StringSliceVar(&o.TLSSANs, "tls-san", o.TLSSANs, "DNS names and IP addresses to add to the generated serving certificate, comma separated.")
	o.EmbeddedEtcd.addFlags(fs)
	o.Agents.addFlags(fs)
	o.Projections.addFlags(fs)
	return fss
}

// completedOptions can only be made by Complete.
type completedOptions struct {
	kubeoptions.CompletedOptions

	pki         *pki.Files
	etcd        EmbeddedEtcdOptions
	embed       bool
	agents      AgentOptions
	projections ProjectionOptions
	clusters    *agentauth.Clusters
	placements  *placementpreview.Fleet
	lock        *dirLock
}

// CompletedOptions are options ready for New.
type CompletedOptions struct {
	*completedOptions
}

// Complete takes the data directory, makes the certificates that flags do not
// name and fills in every default. The caller must reach New or call Release,
// since the data directory stays locked.
func (o *Options) Complete(ctx context.Context) (CompletedOptions, error) {
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return CompletedOptions{}, err
	}
	lock, err := takeDataDir(o.DataDir)
	if err != nil {
		return CompletedOptions{}, err
	}
	completed, err := o.complete(ctx, lock)
	if err != nil {
		return CompletedOptions{}, errors.Join(err, lock.Release())
	}
	return completed, nil
}

func (o *Options) complete(ctx context.Context, lock *dirLock) (CompletedOptions, error) {
	if ip := o.SecureServing.BindAddress; ip.IsLoopback() && o.GenericServerRunOptions.AdvertiseAddress == nil {
		o.GenericServerRunOptions.AdvertiseAddress = ip
	}
	// Agents reach the server by this address: the certificate has to name it.
	if err := o.GenericServerRunOptions.DefaultAdvertiseAddress(o.SecureServing.SecureServingOptions); err != nil {
		return CompletedOptions{}, err
	}
	files, err := o.ensurePKI()
	if err != nil {
		return CompletedOptions{}, err
	}
	o.applyPKI(files)
	embed := len(o.Etcd.StorageConfig.Transport.ServerList) == 0
	if embed {
		o.EmbeddedEtcd.dir = filepath.Join(o.DataDir, "etcd")
		endpoint, err := o.EmbeddedEtcd.endpoint()
		if err != nil {
			return CompletedOptions{}, err
		}
		o.Etcd.StorageConfig.Transport.ServerList = []string{endpoint}
	}
	kube, err := o.ServerRunOptions.Complete(ctx)
	if err != nil {
		return CompletedOptions{}, err
	}
	return CompletedOptions{&completedOptions{
		CompletedOptions: kube, pki: files, etcd: o.EmbeddedEtcd, embed: embed, agents: o.Agents, projections: o.Projections.completed(embed), clusters: o.clusters, placements: o.placements, lock: lock,
	}}, nil
}

// Release gives up the data directory of options that will not be run.
func (o CompletedOptions) Release() error { return o.lock.Release() }

// Kubeconfig returns the path of the kubeconfig made for an identity of
// wellknown, by the name of its file.
func (o CompletedOptions) Kubeconfig(identity string) string { return o.pki.Kubeconfigs[identity] }

// PKI returns where the fleet's certificates and keys are.
func (o CompletedOptions) PKI() pki.Files { return *o.pki }

func (o *Options) ensurePKI() (*pki.Files, error) {
	names := sets.New("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if hostname, err := os.Hostname(); err == nil {
		names.Insert(hostname)
	}
	ips := sets.New("127.0.0.1", "::1")
	for _, ip := range []net.IP{o.SecureServing.BindAddress, o.GenericServerRunOptions.AdvertiseAddress} {
		if ip != nil && !ip.IsUnspecified() {
			ips.Insert(ip.String())
		}
	}
	for _, san := range append([]string{o.GenericServerRunOptions.ExternalHost}, o.TLSSANs...) {
		if ip := netutils.ParseIPSloppy(san); ip != nil {
			ips.Insert(ip.String())
		} else if san != "" {
			names.Insert(san)
		}
	}
	cfg := pki.Config{
		Dir:           filepath.Join(o.DataDir, "pki"),
		KubeconfigDir: filepath.Join(o.DataDir, "kubeconfigs"),
		DNSNames:      sets.List(names),
		ServerURL:     "https://" + net.JoinHostPort(o.clientHost(), strconv.Itoa(o.SecureServing.BindPort)),
		Identities:    Identities(),
		Clock:         clock.RealClock{},
	}
	for _, ip := range sets.List(ips) {
		cfg.IPs = append(cfg.IPs, netutils.ParseIPSloppy(ip))
	}
	return pki.Ensure(cfg)
}

// clientHost is the address that programs on this machine reach the server by.
func (o *Options) clientHost() string {
	if ip := o.SecureServing.BindAddress; ip != nil && !ip.IsUnspecified() {
		return ip.String()
	}
	return "127.0.0.1"
}

// applyPKI points every flag the user left empty at the generated files.
func (o *Options) applyPKI(files *pki.Files) {
	setDefault := func(flag *string, value string) {
		if *flag == "" {
			*flag = value
		}
	}
	serving := &o.SecureServing.ServerCert
	if serving.CertKey.CertFile == "" && serving.CertKey.KeyFile == "" {
		serving.CertKey.CertFile, serving.CertKey.KeyFile = files.ServingCert, files.ServingKey
	}
	setDefault(&o.Authentication.ClientCert.ClientCA, files.CACert)
	applyRequestHeader(o.Authentication.RequestHeader, files)
	if o.ProxyClientCertFile == "" && o.ProxyClientKeyFile == "" {
		o.ProxyClientCertFile, o.ProxyClientKeyFile = files.FrontProxyCert, files.FrontProxyKey
	}
	accounts := o.Authentication.ServiceAccounts
	if len(accounts.KeyFiles) == 0 && o.ServiceAccountSigningKeyFile == "" && o.ServiceAccountSigningEndpoint == "" {
		accounts.KeyFiles = []string{files.ServiceAccountPub}
		o.ServiceAccountSigningKeyFile = files.ServiceAccountKey
	}
	if len(accounts.Issuers) == 0 || accounts.Issuers[0] == "" {
		accounts.Issuers = []string{serviceAccountIssuer}
	}
	accounts.Lookup = true
}

// applyRequestHeader lets a front proxy, which peers and the aggregator are, say
// who a request is from.
func applyRequestHeader(options *genericoptions.RequestHeaderAuthenticationOptions, files *pki.Files) {
	if options.ClientCAFile == "" {
		options.ClientCAFile = files.FrontProxyCACert
		options.AllowedNames = []string{"front-proxy-client"}
	}
	setDefault := func(flag *[]string, value string) {
		if len(*flag) == 0 {
			*flag = []string{value}
		}
	}
	setDefault(&options.UsernameHeaders, "X-Remote-User")
	if utilfeature.DefaultFeatureGate.Enabled(features.RemoteRequestHeaderUID) {
		setDefault(&options.UIDHeaders, "X-Remote-Uid")
	}
	setDefault(&options.GroupHeaders, "X-Remote-Group")
	setDefault(&options.ExtraHeaderPrefixes, "X-Remote-Extra-")
}

// Identities are the clients that get a certificate and a kubeconfig at the
// first start: the administrator and the fleet's own components.
func Identities() []pki.Identity {
	return []pki.Identity{
		{Name: "admin", User: "fleet-admin", Groups: []string{"system:masters"}},
		{Name: "scheduler", User: wellknown.UserScheduler},
		{Name: "controller-manager", User: wellknown.UserControllerManager},
		{Name: "syncer", User: wellknown.UserSyncer},
	}
}

// Validate returns every mistake in the options, each naming its flag.
func (o CompletedOptions) Validate() []error {
	errs := append(o.CompletedOptions.Validate(), o.agents.validate()...)
	errs = append(errs, o.projections.validate()...)
	if o.embed {
		errs = append(errs, o.etcd.validate()...)
	}
	if len(errs) > 0 {
		return errs
	}
	if o.SecureServing.BindPort == 0 && o.SecureServing.Listener == nil {
		return []error{fmt.Errorf("--secure-port must not be 0: the fleet is served over HTTPS only")}
	}
	return nil
}
