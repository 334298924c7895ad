// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/registry/table"
)

var columns = []table.Column{
	{Name: "Mode", Description: "Push: a syncer beside the fleet connects to the member. Pull: an agent in the member connects to the fleet."},
	{Name: "Ready", Description: "Whether the member's API server answers; Unknown when nobody has reported for a while. NotAccepted waits for an administrator, SchedulingDisabled is cordoned, Terminating is being unjoined."},
	{Name: "Version", Description: "Kubernetes version of the member."},
	{Name: "Nodes", Description: "Ready nodes / all nodes."},
	{Name: "CPU", Description: "Cores of the ready nodes that no Pod requests."},
	{Name: "Memory", Description: "Memory of the ready nodes that no Pod requests."},
	{Name: "Provider", Description: "Provider of the member.", Wide: true},
	{Name: "Region", Description: "Region of the member.", Wide: true},
	{Name: "Zones", Description: "Zones of the member.", Wide: true},
	{Name: "API Endpoint", Description: "Address of the member's API server.", Wide: true},
}

func cells(c *cluster.Cluster) []any {
	version, nodes, cpu, memory := table.Unknown, table.Unknown, table.Unknown, table.Unknown
	if c.Status.KubernetesVersion != "" {
		version = c.Status.KubernetesVersion
	}
	if summary := c.Status.NodeSummary; summary != nil {
		nodes = fmt.Sprintf("%d/%d", summary.ReadyNum, summary.TotalNum)
	}
	if summary := c.Status.ResourceSummary; summary != nil {
		cpu, memory = inCores(free(summary, corev1.ResourceCPU)), inBytes(free(summary, corev1.ResourceMemory))
	}
	zones := c.Spec.Zones
	if len(zones) == 0 {
		zones = c.Status.Zones
	}
	return []any{
		string(c.Spec.SyncMode), readiness(c), version, nodes, cpu, memory,
		table.Text(cmp.Or(c.Spec.Provider, c.Status.Provider)), table.Text(cmp.Or(c.Spec.Region, c.Status.Region)),
		table.List(zones), table.Text(c.Spec.APIEndpoint),
	}
}

// readiness is the status of the condition Ready with what else keeps the member
// from work, as kubectl shows it for nodes.
func readiness(c *cluster.Cluster) string {
	words := []string{"Unknown"}
	if condition := meta.FindStatusCondition(c.Status.Conditions, cluster.ClusterConditionReady); condition != nil {
		words[0] = string(condition.Status)
	}
	if c.Spec.SyncMode == cluster.Pull && !c.Spec.Accepted {
		words = append(words, "NotAccepted")
	}
	if slices.ContainsFunc(c.Spec.Taints, func(t corev1.Taint) bool { return t.Key == wellknown.TaintClusterUnschedulable }) {
		words = append(words, "SchedulingDisabled")
	}
	if c.DeletionTimestamp != nil {
		words = append(words, "Terminating")
	}
	return strings.Join(words, ",")
}

// free is what is allocatable less what is allocated, in thousandths of a unit;
// nothing when Pods on nodes that are not ready hold more than the others offer.
func free(summary *cluster.ResourceSummary, name corev1.ResourceName) int64 {
	allocatable, allocated := summary.Allocatable[name], summary.Allocated[name]
	allocatable.Sub(allocated)
	return max(0, allocatable.ScaledValue(-3))
}

// inCores writes thousandths of a core with one decimal, less than one in full.
func inCores(milli int64) string {
	if 0 < milli && milli < 1000 {
		return strconv.FormatInt(milli, 10) + "m"
	}
	return decimal(float64(milli) / 1000)
}

// inBytes writes thousandths of a byte in the largest unit that leaves a whole
// number before the decimal.
func inBytes(milli int64) string {
	amount, unit := float64(milli)/1000/(1<<20), "Mi"
	for _, larger := range []string{"Gi", "Ti"} {
		if amount >= 1024 {
			amount, unit = amount/1024, larger
		}
	}
	if amount == 0 {
		return "0"
	}
	return decimal(amount) + unit
}

// decimal writes a number with one decimal, cut and not rounded: nobody should
// see more than there is. Large numbers have none.
func decimal(amount float64) string {
	if amount >= 100 {
		return strconv.FormatInt(int64(amount), 10)
	}
	return strings.TrimSuffix(strconv.FormatFloat(float64(int64(amount*10))/10, 'f', 1, 64), ".0")
}
