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
)

// Provider makes the group's resources.
var Provider = group.Provider{GroupVersion: clusterv1alpha1.SchemeGroupVersion, Resources: resources}

func resources(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	clusters, status, err := cluster.NewREST(typer, getter)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{"clusters": clusters, "clusters/status": status}, nil
}
