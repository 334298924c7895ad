// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package namednodes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

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

func TestPreFilter(t *testing.T) {
	names := func(names ...string) *template.Workload {
		return &template.Workload{Nodes: &podspec.Nodes{Alternatives: [][][]string{{names}}}}
	}
	cases := map[string]struct {
		reason   string
		workload *template.Workload
		only     []string // nil for all
		refusal  string
	}{
		"NothingToRun": {reason: "A template that runs nothing asks for no node."},
		"AnyNode":      {reason: "Its Pods run on any.", workload: &template.Workload{}},
		"One":          {reason: "One member has the Node.", workload: names("n1.b"), only: []string{"b"}},
		"Both":         {reason: "Each has one of the Nodes.", workload: names("n1.b", "n1.a"), only: []string{"a", "b"}},
		"NoMembers":    {reason: "No member is called so: any may have a node of the name.", workload: names("n1.c")},
		"Nowhere":      {reason: "A Pod that is bound to a node of no member runs nowhere.", workload: &template.Workload{Nodes: &podspec.Nodes{Bound: "n1.c"}}, refusal: ErrReason},
	}
	plugin, err := New(nil, handle{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := &framework.Request{Template: &template.Template{Workload: tc.workload}}
			only, status := plugin.(framework.PreFilterPlugin).PreFilter(t.Context(), request)
			if diff := cmp.Diff(tc.only, sets.List(only), cmpopts.EquateEmpty()); diff != "" || (only == nil) != (tc.only == nil) {
				t.Errorf("\n%s\nPreFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.refusal, status.Message()); diff != "" {
				t.Errorf("\n%s\nPreFilter(...): -want refusal, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
