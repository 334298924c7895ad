// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package replicadivision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

func TestAssign(t *testing.T) {
	candidate := func(name string, room, replicas int32, placed bool) *framework.Candidate {
		cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}}
		return &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Room: room, Replicas: replicas, Placed: placed}
	}
	fresh := []*framework.Candidate{candidate("b", 30, 0, false), candidate("a", 10, 0, false)}
	running := []*framework.Candidate{candidate("b", 30, 0, false), candidate("a", 10, 4, true)}
	onlyB, err := affinity.ForLabels("name=b")
	if err != nil {
		t.Fatal(err)
	}
	replicated := &template.Workload{Replicated: true, Divisible: true}
	cases := map[string]struct {
		reason   string
		workload *template.Workload
		division framework.Division
		replicas int32
		weights  []framework.Weight
		selected []*framework.Candidate
		want     []workv1alpha1.TargetCluster
		refused  string
	}{
		"Configuration": {reason: "What has no replicas is listed only.", division: framework.DivideNothing, selected: fresh, want: []workv1alpha1.TargetCluster{{Name: "a"}, {Name: "b"}}},
		"Duplicated":    {reason: "So is what every member runs in full.", workload: replicated, division: framework.DivideNothing, replicas: 4, selected: fresh, want: []workv1alpha1.TargetCluster{{Name: "a"}, {Name: "b"}}},
		"Job":           {reason: "And what cannot be divided.", workload: &template.Workload{Pods: 2}, division: framework.DivideByCapacityOrBeyond, selected: fresh[:1], want: []workv1alpha1.TargetCluster{{Name: "b"}}},
		"ByCapacity":    {reason: "In proportion to the room.", workload: replicated, division: framework.DivideByCapacity, replicas: 8, selected: fresh, want: []workv1alpha1.TargetCluster{{Name: "a", Replicas: 2}, {Name: "b", Replicas: 6}}},
		"Insufficient":  {reason: "Too little room is a refusal.", workload: replicated, division: framework.DivideByCapacity, replicas: 50, selected: fresh, refused: "not enough capacity for 50 more replicas"},
		"Beyond":        {reason: "Or it waits in the members.", workload: replicated, division: framework.DivideByCapacityOrBeyond, replicas: 48, selected: fresh, want: []workv1alpha1.TargetCluster{{Name: "a", Replicas: 12}, {Name: "b", Replicas: 36}}},
		"Aggregated":    {reason: "The member in use is filled first.", workload: replicated, division: framework.DivideAggregated, replicas: 10, selected: running, want: []workv1alpha1.TargetCluster{{Name: "a", Replicas: 10}}},
		"Equal":         {reason: "No weights are equal weights.", workload: replicated, division: framework.DivideByWeight, replicas: 4, selected: fresh, want: []workv1alpha1.TargetCluster{{Name: "a", Replicas: 2}, {Name: "b", Replicas: 2}}},
		"Weighted": {
			reason: "The highest weight that selects a member counts.", workload: replicated, division: framework.DivideByWeight, replicas: 4, selected: fresh,
			weights: []framework.Weight{{Weight: 1}, {Affinity: onlyB, Weight: 3}, {Affinity: onlyB, Weight: 2}},
			want:    []workv1alpha1.TargetCluster{{Name: "a", Replicas: 1}, {Name: "b", Replicas: 3}},
		},
		"AtRest":    {reason: "Without replicas it stays where it is.", workload: replicated, division: framework.DivideByCapacity, selected: running, want: []workv1alpha1.TargetCluster{{Name: "a"}}},
		"NewAtRest": {reason: "Or is put on the best member.", workload: replicated, division: framework.DivideByCapacity, selected: fresh, want: []workv1alpha1.TargetCluster{{Name: "b"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := &framework.Request{
				Template: &template.Template{Workload: tc.workload},
				Strategy: framework.Strategy{Division: tc.division},
				Replicas: tc.replicas,
				Weights:  tc.weights,
			}
			got, status := ReplicaDivision{}.Assign(t.Context(), request, tc.selected)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nAssign(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.refused, status.Message()); diff != "" {
				t.Errorf("\n%s\nAssign(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
