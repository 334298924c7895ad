// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/names"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/cluster/validation"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

// NewREST returns the resource and its status subresource.
func NewREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*resource.REST, *resource.StatusREST, error) {
	strategy := newStrategy(typer)
	store, err := resource.NewREST(resource.Definition{
		Resource: cluster.Resource("clusters"),
		Singular: "cluster",
		New:      func() runtime.Object { return &cluster.Cluster{} },
		NewList:  func() runtime.Object { return &cluster.ClusterList{} },
		Columns:  table.New(columns, cells),
	}, strategy, getter)
	if err != nil {
		return nil, nil, err
	}
	return store, resource.NewStatusREST(store, newStatusStrategy(strategy)), nil
}

func newStrategy(typer runtime.ObjectTyper) resource.Strategy[*cluster.Cluster] {
	return resource.Strategy[*cluster.Cluster]{
		ObjectTyper:   typer,
		NameGenerator: names.SimpleNameGenerator,
		GroupVersion:  clusterv1alpha1.SchemeGroupVersion,
		Spec:          func(c *cluster.Cluster) any { return c.Spec },
		ResetStatus: func(c, old *cluster.Cluster) {
			c.Status = cluster.ClusterStatus{}
			if old != nil {
				c.Status = old.Status
			}
		},
		Check:       validation.ValidateCluster,
		CheckUpdate: validation.ValidateClusterUpdate,
	}
}

func newStatusStrategy(strategy resource.Strategy[*cluster.Cluster]) resource.StatusStrategy[*cluster.Cluster] {
	return resource.StatusStrategy[*cluster.Cluster]{
		Strategy:    strategy,
		KeepSpec:    func(c, old *cluster.Cluster) { c.Spec = old.Spec },
		CheckStatus: func(c, old *cluster.Cluster) field.ErrorList { return validation.ValidateClusterStatusUpdate(c, old) },
	}
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
		orNone(c.Spec.Provider), orNone(c.Spec.Region), orNone(strings.Join(c.Spec.Zones, ",")), orNone(c.Spec.APIEndpoint),
	}
}

func orNone(text string) string {
	if text == "" {
		return table.None
	}
	return text
}
