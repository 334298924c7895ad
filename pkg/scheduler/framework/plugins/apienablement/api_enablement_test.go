// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apienablement

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/template"
)

func TestFilter(t *testing.T) {
	serving := []clusterv1alpha1.APIEnablement{{GroupVersion: "apps/v1", Resources: []clusterv1alpha1.APIResource{{Name: "deployments", Kind: "Deployment"}}}}
	deployment := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	widget := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	cases := map[string]struct {
		reason   string
		enabled  []clusterv1alpha1.APIEnablement
		kind     schema.GroupVersionKind
		versions []string
		placed   bool
		expected sets.Set[string]
		want     string
	}{
		"Served":       {reason: "The member serves the kind.", enabled: serving, kind: deployment},
		"OtherVersion": {reason: "Another version is another API.", enabled: serving, kind: deployment.GroupKind().WithVersion("v2"), want: ErrReason},
		"Converted":    {reason: "The fleet can bring it to the version the member serves.", enabled: serving, kind: deployment.GroupKind().WithVersion("v2"), versions: []string{"v1"}},
		"NotServed":    {reason: "The member does not serve the kind.", enabled: serving, kind: widget, want: ErrReason},
		"Placed":       {reason: "What is there stays, whatever the report says.", enabled: serving, kind: widget, placed: true},
		"Expected":     {reason: "The definition is on its way.", enabled: serving, kind: widget, expected: sets.New("m1")},
		"NotReported":  {reason: "A member that reported nothing is not known to serve anything.", kind: deployment, want: ErrReasonUnknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1"}}
			cluster.Status.APIEnablements = tc.enabled
			candidate := &framework.Candidate{Member: framework.NewMember(cluster, &framework.APIPool{}), Placed: tc.placed}
			request := &framework.Request{Template: &template.Template{Kind: tc.kind}, Versions: tc.versions, Expected: tc.expected}
			got := APIEnablement{}.Filter(t.Context(), request, candidate).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
