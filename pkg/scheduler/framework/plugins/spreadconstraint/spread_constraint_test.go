// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package spreadconstraint

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestSelect(t *testing.T) {
	candidate := func(name string, score int64) *framework.Candidate {
		cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		return &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Score: score}
	}
	candidates := []*framework.Candidate{candidate("a", 1), candidate("b", 5), candidate("c", 5)}
	clusters := func(least, most int32) []policyv1alpha1.SpreadConstraint {
		return []policyv1alpha1.SpreadConstraint{{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: least, MaxGroups: most}}
	}
	cases := map[string]struct {
		reason  string
		pick    framework.Pick
		spread  []policyv1alpha1.SpreadConstraint
		want    []string
		refused string
		failed  bool
	}{
		"All":     {reason: "All that passed, best first, ties by name.", pick: framework.PickAll, want: []string{"b", "c", "a"}},
		"One":     {reason: "The best.", pick: framework.PickOne, want: []string{"b"}},
		"AtMost":  {reason: "No more than allowed.", pick: framework.PickAll, spread: clusters(1, 2), want: []string{"b", "c"}},
		"NoLimit": {reason: "Zero is no limit.", pick: framework.PickAll, spread: clusters(2, 0), want: []string{"b", "c", "a"}},
		"TooFew":  {reason: "Fewer than asked for is a refusal.", pick: framework.PickAll, spread: clusters(4, 0), refused: "spread constraints ask for at least 4 clusters"},
		"ByRegion": {
			reason: "A constraint that is not known is an error.", pick: framework.PickAll,
			spread: []policyv1alpha1.SpreadConstraint{{SpreadByField: policyv1alpha1.SpreadByFieldRegion}}, refused: `spread by "region": only "cluster" is known`, failed: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := &framework.Request{Strategy: framework.Strategy{Pick: tc.pick}, Spread: tc.spread}
			selected, status := SpreadConstraint{}.Select(t.Context(), request, candidates)
			var got []string
			for _, c := range selected {
				got = append(got, c.Name())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nSelect(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.refused, status.Message()); diff != "" || tc.failed != (status.Err() != nil) {
				t.Errorf("\n%s\nSelect(...): failed %v, -want, +got:\n%s", tc.reason, status.Err(), diff)
			}
		})
	}
}
