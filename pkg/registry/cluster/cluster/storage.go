// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
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

var columns = []table.Column{
	{Name: "Mode", Description: "Push: a syncer beside the fleet connects to the member. Pull: an agent in the member connects to the fleet."},
	{Name: "Ready", Description: "Whether the member's API server answers; Unknown when nobody has reported for a while."},
	{Name: "Version", Description: "Kubernetes version of the member."},
	{Name: "Nodes", Description: "Ready nodes / all nodes."},
	{Name: "Provider", Description: "Provider of the member.", Wide: true},
	{Name: "Region", Description: "Region of the member.", Wide: true},
	{Name: "Zones", Description: "Zones of the member.", Wide: true},
	{Name: "API Endpoint", Description: "Address of the member's API server.", Wide: true},
}

func cells(c *cluster.Cluster) []any {
	ready, version, nodes := "Unknown", table.Unknown, table.Unknown
	if condition := meta.FindStatusCondition(c.Status.Conditions, cluster.ClusterConditionReady); condition != nil {
		ready = string(condition.Status)
	}
	if c.Status.KubernetesVersion != "" {
		version = c.Status.KubernetesVersion
	}
	if summary := c.Status.NodeSummary; summary != nil {
		nodes = fmt.Sprintf("%d/%d", summary.ReadyNum, summary.TotalNum)
	}
	return []any{
		string(c.Spec.SyncMode), ready, version, nodes,
		table.Text(c.Spec.Provider), table.Text(c.Spec.Region), table.List(c.Spec.Zones), table.Text(c.Spec.APIEndpoint),
	}
}
