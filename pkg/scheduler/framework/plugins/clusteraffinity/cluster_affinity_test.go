// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteraffinity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestFilter(t *testing.T) {
	production, err := affinity.ForLabels("env=prod")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason   string
		affinity *affinity.Affinity
		env      string
		placed   bool
		want     string
	}{
		"None":      {reason: "No affinity refuses nobody."},
		"Selected":  {reason: "The member is selected.", affinity: production, env: "prod"},
		"Refused":   {reason: "The member is not selected.", affinity: production, env: "dev", want: ErrReason},
		"TakenAway": {reason: "Somebody decided that it is not to be there.", affinity: production, env: "dev", placed: true, want: ErrReason},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"env": tc.env}}}
			candidate := &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Placed: tc.placed}
			got := ClusterAffinity{}.Filter(t.Context(), &framework.Request{Affinity: tc.affinity}, candidate).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
