// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rest assembles the group of members for the API server.
package rest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/registry/cluster/cluster"
	"fleet.dev/fleet/pkg/registry/group"
	"fleet.dev/fleet/pkg/tunnel"
)

// NewProvider makes the group's resources. Requests are proxied to members, and
// tunnels of their agents are kept, through members and tunnels.
func NewProvider(members cluster.Members, tunnels *tunnel.Registry) group.Provider {
	return group.Provider{
		GroupVersion: clusterv1alpha1.SchemeGroupVersion,
		Resources: func(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
			clusters, status, err := cluster.NewREST(typer, getter)
			if err != nil {
				return nil, err
			}
			return map[string]rest.Storage{
				"clusters":        clusters,
				"clusters/status": status,
				"clusters/proxy":  cluster.NewProxyREST(clusters, members),
				"clusters/tunnel": cluster.NewTunnelREST(clusters, tunnels),
			}, nil
		},
	}
}
