// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package wholefit

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestFilter(t *testing.T) {
	cpus := func(n int64) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(n, resource.DecimalSI), corev1.ResourcePods: resource.MustParse("10")}
	}
	load := func(cpu, replicas int64) capacity.Load {
		demand, err := capacity.NewDemand(&workv1alpha1.ReplicaRequirements{ResourceRequest: corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(cpu, resource.DecimalSI)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return capacity.Load{Demand: demand, Replicas: int32(replicas)}
	}
	// Two nodes of 4 CPUs.
	free := capacity.Summarize(&clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{
		Name: "a", Nodes: 2, Free: []clusterv1alpha1.FreeCapacity{{Count: 2, Resources: cpus(4)}},
	}}}})
	cases := map[string]struct {
		reason string
		whole  []capacity.Load
		free   *capacity.Summary
		placed bool
		want   string
	}{
		"NothingWhole": {reason: "What can be divided is no concern of the plugin."},
		"Fits":         {reason: "A head of 4 and two workers of 2 fill both nodes.", whole: []capacity.Load{load(2, 2), load(4, 1)}, free: free},
		"TooMany":      {reason: "Each would fit alone.", whole: []capacity.Load{load(2, 3), load(4, 1)}, free: free, want: ErrReason},
		"Unknown":      {reason: "A member that reported nothing is not known to have room.", whole: []capacity.Load{load(1, 1)}, want: ErrReason},
		"Placed":       {reason: "What is placed stays, however full the member.", whole: []capacity.Load{load(4, 9)}, free: free, placed: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			candidate := &framework.Candidate{Member: &framework.Member{Free: tc.free}, Placed: tc.placed}
			if got := (WholeFit{}).Filter(t.Context(), &framework.Request{Whole: tc.whole}, candidate).Message(); got != tc.want {
				t.Errorf("\n%s\nFilter(...): want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}
