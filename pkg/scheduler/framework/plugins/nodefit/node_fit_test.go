// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package nodefit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/podspec"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

func TestFilter(t *testing.T) {
	linux := capacity.Summarize(&clusterv1alpha1.ClusterStatus{Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{
		Name: "all", Labels: map[string]string{corev1.LabelOSStable: "linux"},
		Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}},
	}}}})
	demand := func(system string) *capacity.Demand {
		d, err := capacity.NewDemand(&workv1alpha1.ReplicaRequirements{NodeClaim: &workv1alpha1.NodeClaim{NodeSelector: map[string]string{corev1.LabelOSStable: system}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	cases := map[string]struct {
		reason string
		free   *capacity.Summary
		demand *capacity.Demand
		placed bool
		bound  string
		want   string
	}{
		"NothingToRun": {reason: "A template that runs nothing needs no node.", free: linux},
		"Full":         {reason: "A full member is no reason to refuse.", free: linux, demand: demand("linux")},
		"NoNode":       {reason: "No node would ever take the Pods.", free: linux, demand: demand("windows"), want: ErrReason},
		"Placed":       {reason: "What is there stays.", free: linux, demand: demand("windows"), placed: true},
		"Bound":        {reason: "It has its node already.", free: linux, demand: demand("windows"), bound: "n1.a"},
		"NotReported":  {reason: "Nodes that are not known are given the benefit of the doubt.", demand: demand("windows")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			candidate := &framework.Candidate{Member: &framework.Member{Free: tc.free}, Placed: tc.placed}
			pod := &template.Template{Workload: &template.Workload{Nodes: &podspec.Nodes{Bound: tc.bound}}}
			got := NodeFit{}.Filter(t.Context(), &framework.Request{Template: pod, Demand: tc.demand}, candidate).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNormalizeScores(t *testing.T) {
	cases := map[string]struct {
		reason       string
		scores, want []int64
	}{
		"Parts":   {reason: "The roomiest gets the most, others their part.", scores: []int64{50, 100, 0}, want: []int64{500, 1000, 0}},
		"Nothing": {reason: "No room anywhere is no difference.", scores: []int64{0, 0}, want: []int64{0, 0}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			NodeFit{}.NormalizeScores(tc.scores)
			if diff := cmp.Diff(tc.want, tc.scores); diff != "" {
				t.Errorf("\n%s\nNormalizeScores(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
