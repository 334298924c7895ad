// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"maps"
	"strconv"

	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/util/webhook"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	openapicommon "k8s.io/kube-openapi/pkg/common"
	kubeapiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/controlplane"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	kubeopenapi "k8s.io/kubernetes/pkg/generated/openapi"

	"fleet.dev/fleet/pkg/apiserver/admission/placementpreview"
	"fleet.dev/fleet/pkg/apiserver/dialer"
	fleetopenapi "fleet.dev/fleet/pkg/generated/openapi"
)

// config holds the configuration of the three servers of the chain. It shares
// authentication, authorization, audit and admission between them.
type config struct {
	aggregator    *aggregatorapiserver.Config
	kube          *controlplane.Config
	apiExtensions *apiextensionsapiserver.Config
	agents        *agents
	placements    *placementpreview.Fleet
}

// wrapStorage replaces the storage options of every server in the chain.
type wrapStorage func(generic.RESTOptionsGetter) generic.RESTOptionsGetter

// newConfig follows kube-apiserver's NewConfig; upstream's cannot be called
// because it fixes the schemes' OpenAPI definitions and the served groups.
func newConfig(opts CompletedOptions, wrap wrapStorage, through *dialer.Dialer) (*config, error) {
	installScheme()
	resources := controlplane.DefaultAPIResourceConfigSource()
	resources.EnableVersions(fleetGroupVersions()...)
	generic, informers, storageFactory, err := controlplaneapiserver.BuildGenericConfig(
		opts.CompletedOptions.CompletedOptions,
		[]*runtime.Scheme{legacyscheme.Scheme, apiextensionsapiserver.Scheme, aggregatorscheme.Scheme},
		resources,
		openAPIDefinitions,
	)
	if err != nil {
		return nil, err
	}
	storeFleetGroupsAsJSON(storageFactory)
	generic.LongRunningFunc = longRunning(generic.LongRunningFunc)
	if !opts.embed {
		// Peers find each other by it; upstream's is the same for all servers of a host.
		generic.APIServerID += "-" + strconv.Itoa(opts.SecureServing.BindPort)
	}
	generic.RESTOptionsGetter = wrap(generic.RESTOptionsGetter)
	agents, err := newAgents(opts, generic)
	if err != nil {
		return nil, err
	}
	if err := connectPlacements(opts.placements, generic.LoopbackClientConfig); err != nil {
		return nil, err
	}

	kube, serviceResolver, initializers, err := kubeapiserver.CreateKubeAPIServerConfig(
		opts.CompletedOptions, generic, informers, storageFactory)
	if err != nil {
		return nil, err
	}
	cp := &kube.ControlPlane
	if err := dialServices(cp, through, kube.ServiceIPRange, kube.SecondaryServiceIPRange); err != nil {
		return nil, fmt.Errorf("configure the way to Services: %w", err)
	}
	authInfo := webhook.NewDefaultAuthenticationInfoResolverWrapper(
		cp.ProxyTransport, cp.Generic.EgressSelector, cp.Generic.LoopbackClientConfig, cp.Generic.TracerProvider)
	apiExtensions, err := controlplaneapiserver.CreateAPIExtensionsConfig(
		*cp.Generic, cp.VersionedInformers, initializers, opts.CompletedOptions.CompletedOptions, opts.MasterCount, serviceResolver, authInfo)
	if err != nil {
		return nil, fmt.Errorf("configure custom resources: %w", err)
	}
	apiExtensions.GenericConfig.RESTOptionsGetter = wrap(apiExtensions.GenericConfig.RESTOptionsGetter)

	aggregator, err := controlplaneapiserver.CreateAggregatorConfig(
		*cp.Generic, opts.CompletedOptions.CompletedOptions, cp.VersionedInformers, serviceResolver, cp.ProxyTransport, cp.PeerProxy, initializers)
	if err != nil {
		return nil, fmt.Errorf("configure the aggregator: %w", err)
	}
	agents.watchSessions(&aggregator.GenericConfig.Config)
	aggregator.GenericConfig.BuildHandlerChainFunc = withMemberRequests(aggregator.GenericConfig.BuildHandlerChainFunc)
	if err := proxyThroughMembers(cp, aggregator, through); err != nil {
		return nil, fmt.Errorf("configure the way to Services: %w", err)
	}
	return &config{aggregator: aggregator, kube: kube, apiExtensions: apiExtensions, agents: agents, placements: opts.placements}, nil
}

// openAPIDefinitions are upstream's and the fleet's; where both have a type
// (shared meta types), upstream's stands.
func openAPIDefinitions(ref openapicommon.ReferenceCallback) map[string]openapicommon.OpenAPIDefinition {
	definitions := fleetopenapi.GetOpenAPIDefinitions(ref)
	maps.Copy(definitions, kubeopenapi.GetOpenAPIDefinitions(ref))
	return definitions
}

// storeFleetGroupsAsJSON keeps the fleet's types, which have no protobuf
// encoding, out of the default storage media type.
func storeFleetGroupsAsJSON(factory *serverstorage.DefaultStorageFactory) {
	for _, gv := range fleetGroupVersions() {
		factory.SetSerializer(schema.GroupResource{Group: gv.Group, Resource: serverstorage.AllResources}, runtime.ContentTypeJSON, nil)
	}
}
