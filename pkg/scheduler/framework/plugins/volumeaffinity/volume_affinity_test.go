// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package volumeaffinity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestPreFilter(t *testing.T) {
	cases := map[string]struct {
		reason  string
		claimed sets.Set[string]
		pick    framework.Pick
		want    sets.Set[string]
		refused string
	}{
		"NoClaim":   {reason: "Pods without volumes go anywhere.", pick: framework.PickOne},
		"Held":      {reason: "Pods go to their volumes.", claimed: sets.New("m1"), pick: framework.PickOne, want: sets.New("m1")},
		"Apart":     {reason: "Volumes that share no member cannot be mounted together.", claimed: sets.New[string](), pick: framework.PickOne, refused: ErrReason},
		"DaemonSet": {reason: "What runs everywhere has volumes everywhere.", claimed: sets.New("m1"), pick: framework.PickAll},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := &framework.Request{ClaimedBy: tc.claimed, Strategy: framework.Strategy{Pick: tc.pick}}
			got, status := VolumeAffinity{}.PreFilter(t.Context(), request)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nPreFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.refused, status.Message()); diff != "" {
				t.Errorf("\n%s\nPreFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
