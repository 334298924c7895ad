// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

// NewREST returns the resource and its status subresource.
func NewREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, *resource.StatusREST, error) {
	strategy := newStrategy(typer, clock.RealClock{})
	store, err := resource.NewREST(resource.Definition{
		Resource: cluster.Resource("clusters"),
		Singular: "cluster",
		New:      func() runtime.Object { return &cluster.Cluster{} },
		NewList:  func() runtime.Object { return &cluster.ClusterList{} },
		Columns:  table.New(columns, cells),
		Fields: func(obj runtime.Object, set fields.Set) {
			set[clusterv1alpha1.ClusterFieldSyncMode] = string(obj.(*cluster.Cluster).Spec.SyncMode)
		},
	}, strategy, getter)
	if err != nil {
		return nil, nil, err
	}
	return store, resource.NewStatusREST(store, newStatusStrategy(strategy)), nil
}
