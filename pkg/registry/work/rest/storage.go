// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rest assembles the group of bindings and works for the API server.
package rest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/registry/group"
	"fleet.dev/fleet/pkg/registry/work/binding"
	"fleet.dev/fleet/pkg/registry/work/work"
	"fleet.dev/fleet/pkg/registry/work/workfeedback"
)

// FeedbackStores are the storages through which the intake of feedback writes:
// status and confirmed tombstones, in one write.
type FeedbackStores struct {
	Namespaced *genericregistry.Store
	Cluster    *genericregistry.Store
}

// NewProvider makes the group's resources. Feedback goes to the sink; stores is
// filled when the resources are made.
func NewProvider(sink work.Sink, stores *FeedbackStores) group.Provider {
	return group.Provider{
		GroupVersion: workv1alpha1.SchemeGroupVersion,
		Resources: func(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
			return resources(typer, getter, sink, stores)
		},
	}
}

func resources(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter, sink work.Sink, stores *FeedbackStores) (map[string]rest.Storage, error) {
	bindings, err := binding.NewStorage(typer, getter)
	if err != nil {
		return nil, err
	}
	clusterBindings, err := binding.NewClusterStorage(typer, getter)
	if err != nil {
		return nil, err
	}
	stores.Namespaced, stores.Cluster = bindings.Feedback, clusterBindings.Feedback
	works, workStatus, err := work.NewREST(typer, getter, sink)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{
		"resourcebindings":                   bindings.Binding,
		"resourcebindings/status":            bindings.Status,
		"resourcebindings/tombstones":        bindings.Tombstones,
		"clusterresourcebindings":            clusterBindings.Binding,
		"clusterresourcebindings/status":     clusterBindings.Status,
		"clusterresourcebindings/tombstones": clusterBindings.Tombstones,
		"works":                              works,
		"works/status":                       workStatus,
		"workfeedbacks":                      workfeedback.NewREST(sink),
	}, nil
}
