// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterready

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

func TestFilter(t *testing.T) {
	cases := map[string]struct {
		reason        string
		ready, placed bool
		want          string
	}{
		"Ready":    {reason: "A ready member passes.", ready: true},
		"NotReady": {reason: "A member that is not gets nothing new.", want: ErrReason},
		"Placed":   {reason: "It keeps what it has.", placed: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			candidate := &framework.Candidate{Member: &framework.Member{Ready: tc.ready}, Placed: tc.placed}
			got := ClusterReady{}.Filter(t.Context(), &framework.Request{}, candidate).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
