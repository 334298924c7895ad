// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterid

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

type known map[string][]string

func (known) HasSynced() bool                           { return true }
func (k known) NamesWithID(id string) ([]string, error) { return k[id], nil }

func member(name, id string) *cluster.Cluster {
	return &cluster.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: cluster.ClusterSpec{ID: id}}
}

func TestValidate(t *testing.T) {
	clusters := known{"1": {"paris"}}
	tests := map[string]struct {
		reason      string
		given       *cluster.Cluster
		before      *cluster.Cluster
		subresource string
		want        string
	}{
		"New":         {reason: "a cluster joins once", given: member("rome", "2")},
		"Clash":       {reason: "the same cluster under two names would be applied to twice", given: member("rome", "1"), want: `spec.id: Invalid value: "1": the same cluster is in the fleet as "paris" already`},
		"Unknown":     {reason: "an id may be filled in later", given: member("rome", "")},
		"FilledIn":    {reason: "filling in is no way around", given: member("rome", "1"), before: member("rome", ""), want: "spec.id"},
		"Itself":      {reason: "a Cluster does not clash with itself", given: member("paris", "1"), before: member("paris", "1")},
		"Again":       {reason: "creating what exists gets another error", given: member("paris", "1")},
		"OldClash":    {reason: "what clashes already can still be changed, to mend it", given: member("rome", "1"), before: member("rome", "1")},
		"Subresource": {reason: "a status has no id", given: member("rome", "1"), subresource: "status"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			operation, old := admission.Create, runtime.Object(nil)
			if tc.before != nil {
				operation, old = admission.Update, tc.before
			}
			err := New(clusters).Validate(t.Context(), admission.NewAttributesRecord(tc.given, old, clusterv1alpha1.SchemeGroupVersion.WithKind("Cluster"), "",
				tc.given.Name, clusterv1alpha1.SchemeGroupVersion.WithResource("clusters"), tc.subresource, operation, nil, false, nil), nil)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: want %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
