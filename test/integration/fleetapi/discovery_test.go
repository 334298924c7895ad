// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestDiscovery(t *testing.T) {
	write := metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	read := metav1.Verbs{"get", "list", "watch"}
	status := metav1.Verbs{"get", "patch", "update"}
	category := []string{"fleet"}
	named := func(r resource, singular string, verbs metav1.Verbs, short ...string) metav1.APIResource {
		return metav1.APIResource{
			Name: r.plural, SingularName: singular, Kind: r.kind, Namespaced: r.namespace != "",
			Verbs: verbs, ShortNames: short, Categories: category,
		}
	}
	sub := func(r resource, verbs metav1.Verbs) metav1.APIResource {
		return metav1.APIResource{Name: r.plural + "/status", Kind: r.kind, Namespaced: r.namespace != "", Verbs: verbs}
	}
	tombstones := func(r resource) metav1.APIResource {
		made := sub(r, status)
		made.Name = r.plural + "/tombstones"
		return made
	}
	feedback := named(workFeedbacks, "workfeedback", metav1.Verbs{"create"})
	feedback.Categories = nil // there is nothing to get
	want := map[string][]metav1.APIResource{
		"cluster.fleet.dev/v1alpha1": {
			named(clusters, "cluster", write),
			{Name: "clusters/proxy", Kind: "ClusterProxyOptions", Verbs: metav1.Verbs{"create", "delete", "get", "patch", "update"}},
			sub(clusters, status),
			{Name: "clusters/tunnel", Kind: "Cluster", Verbs: metav1.Verbs{"create"}},
		},
		"policy.fleet.dev/v1alpha1": {
			named(clusterOverridePolicies, "clusteroverridepolicy", write, "cop"),
			named(clusterPropagationPolicies, "clusterpropagationpolicy", write, "cpp"),
			named(overridePolicies, "overridepolicy", write, "op"),
			named(propagationPolicies, "propagationpolicy", write, "pp"),
		},
		"work.fleet.dev/v1alpha1": {
			named(clusterResourceBindings, "clusterresourcebinding", write, "crb"),
			sub(clusterResourceBindings, status),
			tombstones(clusterResourceBindings),
			named(resourceBindings, "resourcebinding", write, "rb"),
			sub(resourceBindings, status),
			tombstones(resourceBindings),
			feedback,
			named(works, "work", read),
			sub(works, status),
		},
		"apps.fleet.dev/v1alpha1":   {named(rebalancers, "workloadrebalancer", write), sub(rebalancers, status)},
		"config.fleet.dev/v1alpha1": {named(customizations, "resourceinterpretercustomization", write, "ric")},
	}
	for groupVersion, resources := range want {
		t.Run(groupVersion, func(t *testing.T) {
			served, err := fleet.Kube.Discovery().ServerResourcesForGroupVersion(groupVersion)
			if err != nil {
				t.Fatal(err)
			}
			for i := range served.APIResources {
				served.APIResources[i].StorageVersionHash = "" // depends on the kind alone
			}
			if diff := cmp.Diff(resources, served.APIResources); diff != "" {
				t.Errorf("resources, -want +got:\n%s", diff)
			}
		})
	}
	t.Run("NoProtobuf", func(t *testing.T) {
		request := client().Get().AbsPath(clusters.path()).SetHeader("Accept", runtime.ContentTypeProtobuf+", "+runtime.ContentTypeJSON)
		var contentType string
		if err := request.Do(t.Context()).ContentType(&contentType).Error(); err != nil || contentType != runtime.ContentTypeJSON {
			t.Errorf("a client that prefers protobuf, which the kinds do not have, gets JSON: got %q, %v", contentType, err)
		}
	})
}

func TestTables(t *testing.T) {
	create(t, clusters.named("printed"), "")
	tests := map[string]struct {
		resource resource
		want     string
	}{
		"Cluster":           {clusters, "Name,Mode,Ready,Version,Nodes,CPU,Memory,Age,Provider,Region,Zones,API Endpoint"},
		"PropagationPolicy": {propagationPolicies, "Name,Priority,Placement,Age,Selects"},
		"OverridePolicy":    {overridePolicies, "Name,Selects,Rules,Age"},
		"ResourceBinding":   {resourceBindings, "Name,Kind,Template,Clusters,Scheduled,Applied,Age,Policy"},
		"Work":              {works, "Name,Member,Kind,Template,Delete,Age,Hash"},
		"Rebalancer":        {rebalancers, "Name,Workloads,Successful,Failed,Finished,Age"},
		"Customization":     {customizations, "Name,Target-API-Version,Target-Kind,Age"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			table := printed(t, tc.resource.path())
			var columns []string
			for _, column := range table.ColumnDefinitions {
				columns = append(columns, column.Name)
				if column.Description == "" {
					t.Errorf("column %q has no description", column.Name)
				}
			}
			if diff := cmp.Diff(tc.want, strings.Join(columns, ",")); diff != "" {
				t.Errorf("columns, -want +got:\n%s", diff)
			}
		})
	}
	table := printed(t, clusters.path()+"/printed")
	if len(table.Rows) != 1 || table.Rows[0].Cells[0] != "printed" || table.Rows[0].Cells[1] != "Push" {
		t.Errorf("table of one Cluster: got %+v", table.Rows)
	}
}

func printed(t *testing.T, path string) metav1.Table {
	t.Helper()
	data, err := client().Get().AbsPath(path).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(data, &table); err != nil {
		t.Fatal(err)
	}
	return table
}

func (r resource) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.group, Version: "v1alpha1", Resource: r.plural}
}
