// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	serviceregistry "k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/apiserver/dialer"
	"fleet.dev/fleet/pkg/derived"
)

// serviceMembers are the members that Services of the fleet are in. They implement
// dialer.Members.
type serviceMembers struct {
	engine  *derived.Engine
	members *projectedMembers
}

var _ dialer.Members = serviceMembers{}

// Having implements dialer.Members: it asks for the work of the Service in each
// member, in memory.
func (s serviceMembers) Having(service types.NamespacedName) []dialer.Member {
	work := workv1alpha1.WorkName(service.Namespace, workv1alpha1.BindingName("Service", service.Name))
	clusters, _ := s.members.Clusters()
	var having []dialer.Member
	for _, cluster := range clusters {
		if found, ok := s.engine.Get(clusterv1alpha1.MemberNamespace(cluster.Name), work); ok && !found.Spec.Deleted {
			having = append(having, dialer.Member{Name: cluster.Name, Ready: cluster.Unready == ""})
		}
	}
	return having
}

// Way implements dialer.Members.
func (s serviceMembers) Way(ctx context.Context, member string, upgrade bool) (dialer.Way, error) {
	way, err := s.members.Way(ctx, member, upgrade)
	return dialer.Way{URL: way.URL, Transport: way.Transport}, err
}

// newDialer returns what connects to Services and Pods of the fleet.
func (f *fleetGroups) newDialer() *dialer.Dialer {
	var pods dialer.PodFinder
	if f.projections != nil {
		pods = f.projections.FindPod
	}
	return dialer.New(serviceMembers{engine: f.engine, members: f.reach}, pods, clock.RealClock{})
}

// dialServices makes what refers to Services of the fleet go through members. It
// comes after upstream's configuration and before that of the other servers of the
// chain: admission holds the transport that changes here. Where
// --egress-selector-config-file says how to dial, that stands.
func dialServices(config *controlplaneapiserver.Config, through *dialer.Dialer, clusterIPs ...net.IPNet) error {
	if config.Generic.EgressSelector != nil {
		return nil
	}
	if err := through.Watch(config.VersionedInformers.Core().V1().Services().Informer(), clusterIPs...); err != nil {
		return fmt.Errorf("watch Services: %w", err)
	}
	config.ProxyTransport.DialContext = through.DialContext
	return nil
}

// proxyThroughMembers does the same for the subresource proxy of Pods and Services,
// and has the aggregator dial APIServices. What the rest of the configuration holds
// of the transport stays as it is.
func proxyThroughMembers(config *controlplaneapiserver.Config, aggregator *aggregatorapiserver.Config, through *dialer.Dialer) (err error) {
	if config.Generic.EgressSelector != nil {
		return nil
	}
	others := aggregator.GenericConfig.SharedInformerFactory
	if aggregator.GenericConfig.SharedInformerFactory, err = newAggregatorInformers(others, config.Generic.LoopbackClientConfig); err != nil {
		return err
	}
	proxies := newServiceProxies(through.NewServices(config.ProxyTransport), config.Generic)
	aggregator.GenericConfig.BuildHandlerChainFunc = withServiceProxies(aggregator.GenericConfig.BuildHandlerChainFunc, proxies)
	config.ProxyTransport = through.PodTransport(config.ProxyTransport)
	return nil
}

// withServiceProxies serves the subresource proxy of Services, behind authentication,
// authorization and audit. Upstream's looks for the Service's Endpoints, and those
// are in members.
func withServiceProxies(build buildHandlerChain, proxies http.Handler) buildHandlerChain {
	return func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		return build(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if info, ok := request.RequestInfoFrom(req.Context()); ok && isServiceProxy(info) {
				proxies.ServeHTTP(w, req)
				return
			}
			handler.ServeHTTP(w, req)
		}), config)
	}
}

// buildHandlerChain is genericapiserver.Config.BuildHandlerChainFunc.
type buildHandlerChain = func(http.Handler, *genericapiserver.Config) http.Handler

func isServiceProxy(info *request.RequestInfo) bool {
	return info.IsResourceRequest && info.APIGroup == "" && info.APIVersion == "v1" &&
		info.Resource == "services" && info.Subresource == "proxy" && info.Namespace != "" && info.Name != ""
}

// newServiceProxies is upstream's subresource proxy of Services with another way to
// find them.
func newServiceProxies(services *dialer.Services, server *genericapiserver.Config) http.Handler {
	resource, kind := corev1.SchemeGroupVersion.WithResource("services"), corev1.SchemeGroupVersion.WithKind("ServiceProxyOptions")
	// What webhooks with matchPolicy Equivalent go by.
	equivalents := runtime.NewEquivalentResourceRegistry()
	equivalents.RegisterKindFor(resource, "proxy", kind)
	scope := &handlers.RequestScope{
		Namer:            handlers.ContextBasedNaming{Namer: meta.NewAccessor()},
		Serializer:       legacyscheme.Codecs,
		ParameterCodec:   legacyscheme.ParameterCodec,
		Creater:          legacyscheme.Scheme,
		Convertor:        legacyscheme.Scheme,
		Defaulter:        legacyscheme.Scheme,
		Typer:            legacyscheme.Scheme,
		UnsafeConvertor:  runtime.UnsafeObjectConvertor(legacyscheme.Scheme),
		Authorizer:       server.Authorization.Authorizer,
		Resource:         resource,
		Subresource:      "proxy",
		Kind:             kind,
		HubGroupVersion:  schema.GroupVersion{Version: runtime.APIVersionInternal},
		MetaGroupVersion: metav1.SchemeGroupVersion,

		EquivalentResourceMapper: equivalents,
	}
	connecter := &serviceregistry.ProxyREST{Redirector: services}
	return metrics.InstrumentHandlerFunc("CONNECT", "", "v1", "services", "proxy", "namespace", metrics.APIServerComponent, false, "",
		handlers.ConnectResource(connecter, scope, server.AdmissionControl, "", true))
}
