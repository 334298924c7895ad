// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func TestDrop(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		spec    workv1alpha1.BindingSpec
		keep    bool
		want    workv1alpha1.BindingSpec
		changed bool
	}{
		"Absent": {
			reason: "A binding that does not want the member is not touched.",
			spec:   workv1alpha1.BindingSpec{Clusters: []workv1alpha1.TargetCluster{{Name: "m2"}}},
			want:   workv1alpha1.BindingSpec{Clusters: []workv1alpha1.TargetCluster{{Name: "m2"}}},
		},
		"Delete": {
			reason:  "The member leaves; the registry makes the tombstone.",
			spec:    workv1alpha1.BindingSpec{Clusters: []workv1alpha1.TargetCluster{{Name: "m1", Replicas: 2}, {Name: "m2", Replicas: 1}}},
			want:    workv1alpha1.BindingSpec{Clusters: []workv1alpha1.TargetCluster{{Name: "m2", Replicas: 1}}},
			changed: true,
		},
		"Keep": {
			reason: "To keep the object the tombstone is made here, one that releases it.",
			spec: workv1alpha1.BindingSpec{
				Resource: workv1alpha1.ObjectReference{UID: "u"},
				Clusters: []workv1alpha1.TargetCluster{{Name: "m1"}},
			},
			keep: true,
			want: workv1alpha1.BindingSpec{
				Resource:   workv1alpha1.ObjectReference{UID: "u"},
				Tombstones: []workv1alpha1.Tombstone{{ClusterName: "m1", UID: "u", Orphan: true}},
			},
			changed: true,
		},
		"Evicting": {
			reason:  "A member that is only being evicted holds an object too.",
			spec:    workv1alpha1.BindingSpec{GracefulEvictionTasks: []workv1alpha1.GracefulEvictionTask{{FromCluster: "m1"}, {FromCluster: "m2"}}},
			want:    workv1alpha1.BindingSpec{GracefulEvictionTasks: []workv1alpha1.GracefulEvictionTask{{FromCluster: "m2"}}},
			changed: true,
		},
		"Dependency": {
			reason: "What others need on the member leaves it as well.",
			spec: workv1alpha1.BindingSpec{
				Resource:   workv1alpha1.ObjectReference{UID: "u"},
				RequiredBy: []workv1alpha1.BindingSnapshot{{Name: "web", Clusters: []workv1alpha1.TargetCluster{{Name: "m1"}, {Name: "m2"}}}},
			},
			keep: true,
			want: workv1alpha1.BindingSpec{
				Resource:   workv1alpha1.ObjectReference{UID: "u"},
				RequiredBy: []workv1alpha1.BindingSnapshot{{Name: "web", Clusters: []workv1alpha1.TargetCluster{{Name: "m2"}}}},
				Tombstones: []workv1alpha1.Tombstone{{ClusterName: "m1", UID: "u", Orphan: true}},
			},
			changed: true,
		},
		"Tombstone": {
			reason: "What is being deleted on the member already stays as it was asked for.",
			spec:   workv1alpha1.BindingSpec{Tombstones: []workv1alpha1.Tombstone{{ClusterName: "m1", UID: "old"}}},
			keep:   true,
			want:   workv1alpha1.BindingSpec{Tombstones: []workv1alpha1.Tombstone{{ClusterName: "m1", UID: "old"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := tc.spec.DeepCopy()
			if changed := drop(spec, "m1", tc.keep); changed != tc.changed {
				t.Errorf("\n%s\ndrop(...): want changed %t, got %t", tc.reason, tc.changed, changed)
			}
			if diff := cmp.Diff(&tc.want, spec, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("\n%s\ndrop(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestTrimKeepsWhatIsIndexed(t *testing.T) {
	binding := &workv1alpha1.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "web-deployment", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}}},
		Spec: workv1alpha1.BindingSpec{
			Resource:              workv1alpha1.ObjectReference{Name: "web", UID: "u"},
			Placement:             &policyv1alpha1.Placement{},
			Clusters:              []workv1alpha1.TargetCluster{{Name: "placed"}},
			Tombstones:            []workv1alpha1.Tombstone{{ClusterName: "leaving"}},
			GracefulEvictionTasks: []workv1alpha1.GracefulEvictionTask{{FromCluster: "evicted"}},
			RequiredBy:            []workv1alpha1.BindingSnapshot{{Clusters: []workv1alpha1.TargetCluster{{Name: "needed"}}}},
		},
		Status: workv1alpha1.BindingStatus{AggregatedStatus: []workv1alpha1.AggregatedStatusItem{{ClusterName: "placed"}}},
	}
	before, err := indexByCluster(binding)
	if err != nil {
		t.Fatal(err)
	}
	trimmed, err := Trim(binding)
	if err != nil {
		t.Fatal(err)
	}
	after, err := indexByCluster(trimmed)
	if err != nil {
		t.Fatal(err)
	}
	want := sets.New("placed", "leaving", "evicted", "needed")
	if diff := cmp.Diff(want, sets.New(before...)); diff != "" {
		t.Errorf("\nA binding is found by every member that may hold an object.\nindexByCluster(...): -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, sets.New(after...)); diff != "" {
		t.Errorf("\nTrimming does not change where a binding is found.\nindexByCluster(...): -want, +got:\n%s", diff)
	}
	if spec := trimmed.(workv1alpha1.Binding).GetSpec(); spec.Placement != nil || binding.ManagedFields != nil || binding.Status.AggregatedStatus != nil {
		t.Errorf("\nWhat the controller does not read is not kept.\nTrim(...): got %+v", trimmed)
	}
}
