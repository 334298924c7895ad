// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package workloadaffinity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestFilter(t *testing.T) {
	cases := map[string]struct {
		reason          string
		together, apart sets.Set[string]
		placed          bool
		want            string
	}{
		"NoGroup":  {reason: "A template in no group goes anywhere."},
		"Together": {reason: "The group is there.", together: sets.New("m1")},
		"Alone":    {reason: "The group is elsewhere.", together: sets.New("m2"), want: ErrReasonAffinity},
		"Apart":    {reason: "The group is elsewhere, as it should.", apart: sets.New("m2")},
		"Crowded":  {reason: "The group is there already.", apart: sets.New("m1"), want: ErrReasonAntiAffinity},
		"Runs":     {reason: "What runs is not moved.", together: sets.New("m2"), apart: sets.New("m1"), placed: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1"}}
			request := &framework.Request{Together: tc.together, Apart: tc.apart}
			got := WorkloadAffinity{}.Filter(t.Context(), request, &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Placed: tc.placed}).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
