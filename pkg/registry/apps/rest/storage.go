// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rest assembles the group apps.fleet.dev for the API server.
package rest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	appsv1alpha1 "fleet.dev/fleet/pkg/apis/apps/v1alpha1"
	"fleet.dev/fleet/pkg/registry/apps/workloadrebalancer"
	"fleet.dev/fleet/pkg/registry/group"
)

// Provider makes the group's resources.
var Provider = group.Provider{GroupVersion: appsv1alpha1.SchemeGroupVersion, Resources: resources}

func resources(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	rebalancers, status, err := workloadrebalancer.NewREST(typer, getter)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{"workloadrebalancers": rebalancers, "workloadrebalancers/status": status}, nil
}
