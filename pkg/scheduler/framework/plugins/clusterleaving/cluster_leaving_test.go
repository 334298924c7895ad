// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterleaving

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestFilter(t *testing.T) {
	cases := map[string]struct {
		reason  string
		leaving bool
		want    string
	}{
		"Stays":   {reason: "A member that stays passes."},
		"Leaving": {reason: "A member that is being unjoined gets nothing.", leaving: true, want: ErrReason},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			candidate := &framework.Candidate{Member: &framework.Member{Leaving: tc.leaving}}
			got := ClusterLeaving{}.Filter(t.Context(), &framework.Request{}, candidate).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
