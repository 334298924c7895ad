// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package namednodes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/podspec"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

func member(name string) *framework.Member {
	return &framework.Member{Cluster: &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}}}
}

// handle knows members a and b.
type handle struct{}

func (handle) Members() []*framework.Member { return []*framework.Member{member("a"), member("b")} }

func TestFilter(t *testing.T) {
	names := func(names ...string) *template.Workload {
		return &template.Workload{Nodes: &podspec.Nodes{Alternatives: [][][]string{{names}}}}
	}
	cases := map[string]struct {
		reason   string
		workload *template.Workload
		placed   bool
		want     string
	}{
		"NothingToRun": {reason: "A template that runs nothing asks for no node."},
		"AnyNode":      {reason: "Its Pods run on any.", workload: &template.Workload{}},
		"Its":          {reason: "The member has the Node.", workload: names("n1.b", "n1.a")},
		"Others":       {reason: "Another member has it.", workload: names("n1.b"), want: ErrReason},
		"TakenAway":    {reason: "Somebody asks for another node now.", workload: names("n1.b"), placed: true, want: ErrReason},
		"NoMembers":    {reason: "No member is called so: any may have a node of the name.", workload: names("n1.c")},
		"Bound":        {reason: "A Pod that is bound to a node of no member runs nowhere.", workload: &template.Workload{Nodes: &podspec.Nodes{Bound: "n1.c"}}, want: ErrReason},
	}
	plugin, err := New(nil, handle{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := &framework.Request{Template: &template.Template{Workload: tc.workload}}
			got := plugin.(framework.FilterPlugin).Filter(t.Context(), request, &framework.Candidate{Member: member("a"), Placed: tc.placed}).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
