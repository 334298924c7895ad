// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rest assembles the group of the interpretation of kinds for the API server.
package rest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/registry/config/resourceinterpretercustomization"
	"fleet.dev/fleet/pkg/registry/group"
)

// Provider makes the group's resources.
var Provider = group.Provider{GroupVersion: configv1alpha1.SchemeGroupVersion, Resources: resources}

func resources(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	customizations, err := resourceinterpretercustomization.NewREST(typer, getter)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{"resourceinterpretercustomizations": customizations}, nil
}
