// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package place

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

func TestOf(t *testing.T) {
	observed := clusterv1alpha1.ClusterStatus{Provider: "aws", Region: "eu-west-1", Zones: []string{"eu-west-1a", "eu-west-1b"}}
	for name, tc := range map[string]struct {
		reason  string
		cluster clusterv1alpha1.Cluster
		want    Place
	}{
		"Unknown":  {reason: "nobody said, and the nodes have no labels"},
		"Observed": {reason: "the nodes know where nobody said", cluster: clusterv1alpha1.Cluster{Status: observed}, want: Place{Provider: "aws", Region: "eu-west-1", Zones: []string{"eu-west-1a", "eu-west-1b"}}},
		"Said": {
			reason:  "an administrator knows better",
			cluster: clusterv1alpha1.Cluster{Spec: clusterv1alpha1.ClusterSpec{Provider: "acme", Region: "eu", Zones: []string{"eu-1"}}, Status: observed},
			want:    Place{Provider: "acme", Region: "eu", Zones: []string{"eu-1"}},
		},
		"SaidInPart": {
			reason:  "each field stands for itself",
			cluster: clusterv1alpha1.Cluster{Spec: clusterv1alpha1.ClusterSpec{Region: "eu"}, Status: observed},
			want:    Place{Provider: "aws", Region: "eu", Zones: []string{"eu-west-1a", "eu-west-1b"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Of(&tc.cluster)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: Of(): -want +got:\n%s", tc.reason, diff)
			}
			if !got.Equal(tc.want) || got.Equal(Place{Provider: "other"}) {
				t.Errorf("%s: Equal() is wrong", tc.reason)
			}
		})
	}
}
