// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rest assembles the group of policies for the API server.
package rest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/registry/group"
	"fleet.dev/fleet/pkg/registry/policy/overridepolicy"
	"fleet.dev/fleet/pkg/registry/policy/propagationpolicy"
	"fleet.dev/fleet/pkg/registry/resource"
)

// Provider makes the group's resources.
var Provider = group.Provider{GroupVersion: policyv1alpha1.SchemeGroupVersion, Resources: resources}

func resources(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	made := map[string]rest.Storage{}
	for name, newREST := range map[string]func(runtime.ObjectTyper, generic.RESTOptionsGetter) (*resource.REST, error){
		"propagationpolicies":        propagationpolicy.NewREST,
		"clusterpropagationpolicies": propagationpolicy.NewClusterREST,
		"overridepolicies":           overridepolicy.NewREST,
		"clusteroverridepolicies":    overridepolicy.NewClusterREST,
	} {
		storage, err := newREST(typer, getter)
		if err != nil {
			return nil, err
		}
		made[name] = storage
	}
	return made, nil
}
