// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteraccepted

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestFilter(t *testing.T) {
	cases := map[string]struct {
		reason string
		spec   clusterv1alpha1.ClusterSpec
		placed bool
		want   string
	}{
		"Push":     {reason: "An administrator joined it, which is consent.", spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push}},
		"Accepted": {reason: "An administrator consented.", spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, Accepted: true}},
		"Waiting":  {reason: "Whoever has a token can ask to join.", spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull}, want: ErrReason},
		"TakenBack": {
			reason: "What runs there is not the scheduler's to take away.",
			spec:   clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull}, placed: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			member := framework.NewMember(&clusterv1alpha1.Cluster{Spec: tc.spec}, &framework.APIPool{})
			got := ClusterAccepted{}.Filter(t.Context(), &framework.Request{}, &framework.Candidate{Member: member, Placed: tc.placed}).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
