// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"fmt"
	"strings"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// Member is a member as the user sees it.
type Member struct {
	// Name of the Cluster.
	Name string
	// Objects and Metadata read and write objects of any kind.
	Objects  dynamic.Interface
	Metadata metadata.Interface
	// Kinds the member serves.
	Kinds discovery.CachedDiscoveryInterface
}

// NewMember returns the member of that name of a fleet.
func NewMember(fleet *rest.Config, name string) (*Member, error) {
	config := rest.CopyConfig(fleet)
	config.Host = strings.TrimSuffix(config.Host, "/") + "/apis/" + clusterv1alpha1.SchemeGroupVersion.String() + "/clusters/" + name + "/proxy"
	return Connect(config, name)
}

// Connect returns the member that the configuration reaches.
func Connect(config *rest.Config, name string) (*Member, error) {
	m := &Member{Name: name}
	var err error
	if m.Objects, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a client to member %q: %w", name, err)
	}
	if m.Metadata, err = metadata.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a client to member %q: %w", name, err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to member %q: %w", name, err)
	}
	m.Kinds = memory.NewMemCacheClient(kinds)
	return m, nil
}

// mapper finds kinds by the names people use.
func (m *Member) mapper() *restmapper.DeferredDiscoveryRESTMapper {
	return restmapper.NewDeferredDiscoveryRESTMapper(m.Kinds)
}
