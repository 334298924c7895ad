// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/work"
	"fleet.dev/fleet/pkg/registry/table"
	"fleet.dev/fleet/pkg/registry/table/tabletest"
)

func TestColumns(t *testing.T) {
	var hundred []string
	for i := range 100 {
		hundred = append(hundred, fmt.Sprintf("member-%03d", i))
	}
	made := func(name string, spec work.BindingSpec, conditions ...metav1.Condition) *work.ResourceBinding {
		return &work.ResourceBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec,
			Status: work.BindingStatus{
				Conditions:       conditions,
				AggregatedStatus: []work.AggregatedStatusItem{{ClusterName: "m1", Applied: true}, {ClusterName: "m2"}},
			},
		}
	}
	configMap := decision("a", "m1")
	configMap.Resource.Kind, configMap.Clusters[0].Replicas = "ConfigMap", 0
	configMap.Policy = &work.PolicyReference{Namespace: "shop", Name: "all"}
	clusterPolicy := decision("a", "m1", "m2")
	clusterPolicy.Policy = &work.PolicyReference{Name: "everywhere"}
	tabletest.Golden(t, table.New(columns, cells), "columns.txt",
		made("undecided", decision("a")),
		made("refused", decision("a"), metav1.Condition{Type: work.ConditionScheduled, Status: metav1.ConditionFalse, Reason: work.ReasonNoClusterFit}),
		made("two", clusterPolicy, metav1.Condition{Type: work.ConditionScheduled, Status: metav1.ConditionTrue, Reason: work.ReasonSuccess}),
		made("no-replicas", configMap),
		made("hundred", decision("a", hundred...)),
		made("hundred-and-leaving", with(decision("a", hundred...), work.Tombstone{ClusterName: "old"})),
		made("only-leaving", with(decision("a"), work.Tombstone{ClusterName: "m1"}, work.Tombstone{ClusterName: "m2"})),
	)
}
