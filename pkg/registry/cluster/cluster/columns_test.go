// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/registry/table"
	"fleet.dev/fleet/pkg/registry/table/tabletest"
)

func resources(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
}

func TestColumns(t *testing.T) {
	ready := []metav1.Condition{{Type: cluster.ClusterConditionReady, Status: metav1.ConditionTrue}}
	tabletest.Golden(t, table.New(columns, cells), "columns.txt",
		member(func(c *cluster.Cluster) { c.Name = "just-joined" }),
		member(func(c *cluster.Cluster) {
			c.Name = "ready"
			c.Spec = cluster.ClusterSpec{
				SyncMode: cluster.Pull, Accepted: true, Provider: "example", Region: "eu",
				Zones: []string{"eu-1", "eu-2", "eu-3", "eu-4"}, APIEndpoint: "https://192.0.2.1:6443",
			}
			c.Status = cluster.ClusterStatus{
				KubernetesVersion: "v1.36.3",
				Conditions:        ready,
				NodeSummary:       &cluster.NodeSummary{TotalNum: 3, ReadyNum: 2},
				ResourceSummary:   &cluster.ResourceSummary{Allocatable: resources("8", "32Gi"), Allocated: resources("4250m", "9000Mi")},
			}
		}),
		member(func(c *cluster.Cluster) {
			c.Name = "observed"
			c.Status = cluster.ClusterStatus{
				Conditions: ready, Provider: "aws", Region: "eu-west-1", Zones: []string{"eu-west-1a"},
				ResourceSummary: &cluster.ResourceSummary{},
			}
		}),
		member(func(c *cluster.Cluster) {
			c.Name = "waiting"
			c.Spec.SyncMode = cluster.Pull
		}),
		member(func(c *cluster.Cluster) {
			c.Name = "cordoned"
			c.Spec.Taints = []corev1.Taint{{Key: wellknown.TaintClusterUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
			c.Status.Conditions = ready
		}),
		member(func(c *cluster.Cluster) {
			c.Name = "leaving"
			c.DeletionTimestamp = &metav1.Time{Time: now}
			c.Status.Conditions = ready
		}),
		member(func(c *cluster.Cluster) {
			c.Name = "lost"
			c.Status.Conditions = []metav1.Condition{{Type: cluster.ClusterConditionReady, Status: metav1.ConditionUnknown}}
		}),
	)
}

func TestAmounts(t *testing.T) {
	for name, tc := range map[string]struct {
		reason                 string
		allocatable, allocated corev1.ResourceList
		wantCPU, wantMemory    string
	}{
		"Nothing":    {reason: "a member without nodes has nothing free", wantCPU: "0", wantMemory: "0"},
		"Small":      {reason: "less than one is written in full", allocatable: resources("250m", "900Ki"), wantCPU: "250m", wantMemory: "0.8Mi"},
		"Whole":      {reason: "whole numbers have no decimal", allocatable: resources("4", "8Gi"), wantCPU: "4", wantMemory: "8Gi"},
		"Cut":        {reason: "nobody sees more than there is", allocatable: resources("4", "8Gi"), allocated: resources("10m", "1Mi"), wantCPU: "3.9", wantMemory: "7.9Gi"},
		"Large":      {reason: "large numbers need no decimal", allocatable: resources("1234500m", "300Ti"), wantCPU: "1234", wantMemory: "300Ti"},
		"Overcommit": {reason: "nodes that went down took their room with them, their Pods not", allocatable: resources("1", "1Gi"), allocated: resources("2", "2Gi"), wantCPU: "0", wantMemory: "0"},
	} {
		t.Run(name, func(t *testing.T) {
			summary := &cluster.ResourceSummary{Allocatable: tc.allocatable, Allocated: tc.allocated}
			got := []string{inCores(free(summary, corev1.ResourceCPU)), inBytes(free(summary, corev1.ResourceMemory))}
			if diff := cmp.Diff([]string{tc.wantCPU, tc.wantMemory}, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
