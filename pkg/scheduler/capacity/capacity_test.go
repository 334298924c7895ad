// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func list(cpu, memory, pods string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods:   resource.MustParse(pods),
	}
}

// member has two small nodes and a big one with a taint.
func member() *Summary {
	return Summarize(&clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{
		{
			Name: "small", Nodes: 2, Labels: map[string]string{"size": "small"},
			Free: []clusterv1alpha1.FreeCapacity{{Count: 2, Resources: list("3", "4Gi", "10")}},
		},
		{
			Name: "big", Nodes: 1, Labels: map[string]string{"size": "big"},
			Taints: []corev1.Taint{{Key: "reserved", Effect: corev1.TaintEffectNoSchedule}},
			Free:   []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: list("16", "64Gi", "100")}},
		},
	}}})
}

func TestRoom(t *testing.T) {
	request := func(cpu string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	affinity := func(key, value string) *corev1.NodeSelector {
		return &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}},
		}}}
	}
	tolerant := []corev1.Toleration{{Key: "reserved", Operator: corev1.TolerationOpExists}}
	cases := map[string]struct {
		reason       string
		requirements *workv1alpha1.ReplicaRequirements
		want         int32
		refused      bool
	}{
		"NoRequest": {
			reason: "A Pod that requests nothing takes one of the Pods a node allows.",
			want:   20,
		},
		"Fragmented": {
			reason:       "Two CPUs fit once on each node of three, however much that leaves in total.",
			requirements: &workv1alpha1.ReplicaRequirements{ResourceRequest: request("2")},
			want:         2,
		},
		"TooBig": {
			reason:       "A Pod bigger than every node fits nowhere, but may wait for room.",
			requirements: &workv1alpha1.ReplicaRequirements{ResourceRequest: request("4")},
		},
		"Tolerated": {
			reason:       "A toleration opens the tainted node.",
			requirements: &workv1alpha1.ReplicaRequirements{ResourceRequest: request("2"), NodeClaim: &workv1alpha1.NodeClaim{Tolerations: tolerant}},
			want:         10,
		},
		"NodeSelector": {
			reason:       "A node selector leaves other nodes out.",
			requirements: &workv1alpha1.ReplicaRequirements{NodeClaim: &workv1alpha1.NodeClaim{NodeSelector: map[string]string{"size": "big"}, Tolerations: tolerant}},
			want:         100,
		},
		"NodeAffinity": {
			reason:       "So does required node affinity.",
			requirements: &workv1alpha1.ReplicaRequirements{NodeClaim: &workv1alpha1.NodeClaim{HardNodeAffinity: affinity("size", "big"), Tolerations: tolerant}},
			want:         100,
		},
		"NoSuchNode": {
			reason:       "No node matches at all.",
			requirements: &workv1alpha1.ReplicaRequirements{NodeClaim: &workv1alpha1.NodeClaim{NodeSelector: map[string]string{"size": "huge"}}},
			refused:      true,
		},
		"OneHost": {
			reason:       "A Pod that asks for a host has the room of one node, at best.",
			requirements: &workv1alpha1.ReplicaRequirements{NodeClaim: &workv1alpha1.NodeClaim{NodeSelector: map[string]string{corev1.LabelHostname: "node-1"}}},
			want:         10,
		},
		"NamedByAffinity": {
			reason:       "Which host names an affinity selects cannot be told; all are taken to match.",
			requirements: &workv1alpha1.ReplicaRequirements{NodeClaim: &workv1alpha1.NodeClaim{HardNodeAffinity: affinity(corev1.LabelHostname, "node-1")}},
			want:         20,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			demand, err := NewDemand(tc.requirements, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := member().Room(demand, 0); got != tc.want {
				t.Errorf("\n%s\nRoom(...): want %d, got %d", tc.reason, tc.want, got)
			}
			if got := member().Admits(demand); got == tc.refused {
				t.Errorf("\n%s\nAdmits(...): want %v, got %v", tc.reason, !tc.refused, got)
			}
		})
	}
}

func TestNoReport(t *testing.T) {
	demand, err := NewDemand(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	unknown := Summarize(&clusterv1alpha1.ClusterStatus{})
	if unknown.Room(demand, 0) != 0 || !unknown.Admits(demand) {
		t.Errorf("a member that reported nothing has no room that can be counted on, but refuses nobody: got room %d, admits %v",
			unknown.Room(demand, 0), unknown.Admits(demand))
	}
}

func TestLess(t *testing.T) {
	smaller := Summarize(&clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{
		Name: "small", Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: list("3", "4Gi", "10")}},
	}}}})
	cases := map[string]struct {
		reason       string
		before, then *Summary
		want         bool
	}{
		"Grown":   {reason: "More is free.", before: smaller, then: member(), want: true},
		"Shrunk":  {reason: "Less is free.", before: member(), then: smaller},
		"Same":    {reason: "As much is free.", before: member(), then: member()},
		"First":   {reason: "The first report is news.", then: smaller, want: true},
		"Nothing": {reason: "No report is none.", before: smaller},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.before.Less(tc.then); got != tc.want {
				t.Errorf("\n%s\nLess(...): want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}

func tolerating(selector map[string]string) *workv1alpha1.ReplicaRequirements {
	return &workv1alpha1.ReplicaRequirements{NodeClaim: &workv1alpha1.NodeClaim{
		NodeSelector: selector, Tolerations: []corev1.Toleration{{Key: "reserved", Operator: corev1.TolerationOpExists}},
	}}
}
