// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cheapest

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func costing(cents string) *framework.Candidate {
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1", Labels: map[string]string{"cents": cents}}}
	return &framework.Candidate{Member: &framework.Member{Cluster: cluster}}
}

func TestFilter(t *testing.T) {
	plugin, err := New(json.RawMessage(`{"label": "cents", "atMost": 50}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	running := costing("70")
	running.Placed = true
	cases := map[string]struct {
		reason    string
		candidate *framework.Candidate
		want      string
	}{
		"Cheap":   {reason: "It costs less.", candidate: costing("50")},
		"Dear":    {reason: "It costs too much.", candidate: costing("51"), want: ErrReason},
		"Unknown": {reason: "It says nothing that makes sense.", candidate: costing("much"), want: ErrReasonUnknown},
		"Placed":  {reason: "What runs is not moved for it.", candidate: running},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := plugin.(framework.FilterPlugin).Filter(t.Context(), &framework.Request{}, tc.candidate).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNormalizeScores(t *testing.T) {
	scores := []int64{0, 10, 40}
	(&Cheapest{}).NormalizeScores(scores)
	if diff := cmp.Diff([]int64{1000, 750, 0}, scores); diff != "" {
		t.Errorf("the cheapest is first: -want, +got:\n%s", diff)
	}
}

func TestArgs(t *testing.T) {
	for reason, args := range map[string]string{"A label is required.": `{}`, "Args are JSON.": `{"label": 1}`, "Without args there is no label.": ""} {
		if _, err := New(json.RawMessage(args), nil); err == nil {
			t.Errorf("\n%s\nNew(%s): want an error", reason, args)
		}
	}
}
