// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"fmt"
	"slices"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/metrics/pkg/apis/metrics"
	metricsinstall "k8s.io/metrics/pkg/apis/metrics/install"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"fleet.dev/fleet/pkg/projection"
)

// Options are what metrics are served from.
type Options struct {
	Members Members
	Pods    Pods
	// Templates know which objects in members are the fleet's.
	Templates projection.Templates
}

// installScheme registers metrics.k8s.io beside upstream's other groups, once.
var installScheme = sync.OnceFunc(func() { metricsinstall.Install(legacyscheme.Scheme) })

// Versions are the versions of groups of metrics that are served if members serve them,
// the preferred one of each group first.
func Versions() []schema.GroupVersion {
	return []schema.GroupVersion{
		metricsv1beta1.SchemeGroupVersion,
		{Group: customGroup, Version: "v1beta2"},
		{Group: customGroup, Version: "v1beta1"},
		{Group: externalGroup, Version: "v1beta1"},
	}
}

func versionsOf(group string) []schema.GroupVersion {
	return slices.DeleteFunc(Versions(), func(v schema.GroupVersion) bool { return v.Group != group })
}

func servedBy(members []Member, version schema.GroupVersion) bool {
	return slices.ContainsFunc(members, func(m Member) bool { return slices.Contains(m.Serves, version) })
}

// Groups are the groups of metrics that members serve, with the versions that they do.
func Groups(from Members) []metav1.APIGroup {
	members, _ := from.MetricsMembers()
	var groups []metav1.APIGroup
	for _, name := range []string{metrics.GroupName, customGroup, externalGroup} {
		if group := groupOf(members, name); group != nil {
			group.TypeMeta = metav1.TypeMeta{} // they are those of a list
			groups = append(groups, *group)
		}
	}
	return groups
}

// groupOf is a group of metrics as members serve it, nil when none does.
func groupOf(members []Member, name string) *metav1.APIGroup {
	group := &metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: name}
	for _, version := range versionsOf(name) {
		if servedBy(members, version) {
			group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: version.String(), Version: version.Version})
		}
	}
	if len(group.Versions) == 0 {
		return nil
	}
	group.PreferredVersion = group.Versions[0]
	return group
}

// Install has a server serve metrics. It is behind the aggregator, which goes first.
func Install(server *genericapiserver.GenericAPIServer, options Options) error {
	installScheme()
	all := &fanOut{members: options.Members}
	group := genericapiserver.NewDefaultAPIGroupInfo(metrics.GroupName, legacyscheme.Scheme, legacyscheme.ParameterCodec, legacyscheme.Codecs)
	group.VersionedResourcesStorageMap[metricsv1beta1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"nodes": &nodeMetrics{fanOut: all}, "pods": &podMetrics{fanOut: all, pods: options.Pods, templates: options.Templates},
	}
	if err := server.InstallAPIGroup(&group); err != nil {
		return fmt.Errorf("install %s: %w", metrics.GroupName, err)
	}
	for _, name := range []string{customGroup, externalGroup} {
		values := &relay{fanOut: all, group: name, pods: options.Pods, templates: options.Templates}
		server.Handler.NonGoRestfulMux.Handle("/apis/"+name, values)
		server.Handler.NonGoRestfulMux.HandlePrefix("/apis/"+name+"/", values)
	}
	announced := &announcer{members: options.Members, groups: server.AggregatedDiscoveryGroupManager}
	announced.announce(nil) // which takes back what installing said
	return server.AddPostStartHook("fleet/metrics-discovery", func(hook genericapiserver.PostStartHookContext) error {
		go announced.run(hook)
		return nil
	})
}

// announcer has the groups that members serve be in discovery.
type announcer struct {
	members Members
	groups  groups
}

// groups is the part of aggregated.ResourceManager that announces.
type groups interface {
	AddGroupVersion(group string, version apidiscoveryv2.APIVersionDiscovery)
	RemoveGroupVersion(version metav1.GroupVersion)
}

var _ groups = aggregated.ResourceManager(nil)

// run announces until the context ends.
func (a *announcer) run(ctx context.Context) {
	for ctx.Err() == nil {
		members, changed := a.members.MetricsMembers()
		a.announce(members)
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (a *announcer) announce(members []Member) {
	for _, version := range Versions() {
		if !servedBy(members, version) {
			a.groups.RemoveGroupVersion(metav1.GroupVersion{Group: version.Group, Version: version.Version})
			continue
		}
		a.groups.AddGroupVersion(version.Group, apidiscoveryv2.APIVersionDiscovery{
			Version: version.Version, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent, Resources: resourcesOf(version),
		})
	}
}

// resourcesOf lists the resources of metrics.k8s.io. Those of the others are metrics, and
// as many as there are of them in members: who wants to know asks the version itself.
func resourcesOf(version schema.GroupVersion) []apidiscoveryv2.APIResourceDiscovery {
	if version.Group != metrics.GroupName {
		return nil
	}
	made := func(name, kind string, scope apidiscoveryv2.ResourceScope) apidiscoveryv2.APIResourceDiscovery {
		return apidiscoveryv2.APIResourceDiscovery{
			Resource: name, Scope: scope, Verbs: []string{"get", "list"},
			ResponseKind: &metav1.GroupVersionKind{Group: version.Group, Version: version.Version, Kind: kind},
		}
	}
	return []apidiscoveryv2.APIResourceDiscovery{
		made("nodes", "NodeMetrics", apidiscoveryv2.ScopeCluster), made("pods", "PodMetrics", apidiscoveryv2.ScopeNamespace),
	}
}
