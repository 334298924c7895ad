// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

// TestRollingUpdate checks what members get of the bounds of a rolling update.
func TestRollingUpdate(t *testing.T) {
	type bounds = map[string]any
	tests := []struct {
		name     string
		reason   string
		kind     string
		bounds   bounds
		replicas []int32 // of the members, none where each has all
		want     []bounds
	}{
		{
			name:     "Divided",
			reason:   "What may be missing or too many is so in all members together.",
			bounds:   bounds{"maxSurge": int64(4), "maxUnavailable": int64(3)},
			replicas: []int32{4, 3, 3},
			want: []bounds{
				{"maxSurge": 1.0, "maxUnavailable": 1.0}, {"maxSurge": 1.0, "maxUnavailable": 1.0}, {"maxSurge": 2.0, "maxUnavailable": 1.0},
			},
		},
		{
			name:     "Percentages",
			reason:   "They mean the same of a part as of the whole.",
			bounds:   bounds{"maxSurge": "25%", "maxUnavailable": "25%"},
			replicas: []int32{4, 3, 3},
			want: []bounds{
				{"maxSurge": "25%", "maxUnavailable": "25%"}, {"maxSurge": "25%", "maxUnavailable": "25%"}, {"maxSurge": "25%", "maxUnavailable": "25%"},
			},
		},
		{
			name:     "NoneMissing",
			reason:   "A member that may neither have fewer nor more would be refused, and never roll: it may have one more, so that none is missing.",
			bounds:   bounds{"maxSurge": int64(1), "maxUnavailable": int64(0)},
			replicas: []int32{2, 2, 2},
			want: []bounds{
				{"maxSurge": 1.0, "maxUnavailable": 0.0}, {"maxSurge": 1.0, "maxUnavailable": 0.0}, {"maxSurge": 1.0, "maxUnavailable": 0.0},
			},
		},
		{
			name:     "NoneMore",
			reason:   "Where there is no room for one more, one at a time goes missing.",
			bounds:   bounds{"maxSurge": int64(0), "maxUnavailable": int64(1)},
			replicas: []int32{1, 2, 0},
			want: []bounds{
				{"maxSurge": 0.0, "maxUnavailable": 1.0}, {"maxSurge": 0.0, "maxUnavailable": 1.0}, {"maxSurge": 0.0, "maxUnavailable": 1.0},
			},
		},
		{
			name:     "NumberBesidePercentage",
			reason:   "A percentage lets the rollout go on by itself.",
			bounds:   bounds{"maxSurge": "10%", "maxUnavailable": int64(1)},
			replicas: []int32{2, 2},
			want:     []bounds{{"maxSurge": "10%", "maxUnavailable": 0.0}, {"maxSurge": "10%", "maxUnavailable": 1.0}},
		},
		{
			name:     "NumberBesideNothing",
			reason:   "No percent is nothing.",
			bounds:   bounds{"maxSurge": "0%", "maxUnavailable": int64(1)},
			replicas: []int32{2, 2},
			want:     []bounds{{"maxSurge": "0%", "maxUnavailable": 1.0}, {"maxSurge": "0%", "maxUnavailable": 1.0}},
		},
		{
			name:     "Zero",
			reason:   "Scaled to zero there is nothing to divide, and the bounds have to be valid.",
			bounds:   bounds{"maxSurge": int64(2), "maxUnavailable": int64(2)},
			replicas: []int32{0, 0},
			want:     []bounds{{"maxSurge": 1.0, "maxUnavailable": 0.0}, {"maxSurge": 1.0, "maxUnavailable": 0.0}},
		},
		{
			name:   "Duplicated",
			reason: "Each member has all replicas, and so all of the bounds.",
			bounds: bounds{"maxSurge": int64(3), "maxUnavailable": int64(3)},
			want:   []bounds{{"maxSurge": 3.0, "maxUnavailable": 3.0}},
		},
		{
			name:     "Partition",
			reason:   "Pods from number 4 on are to be updated; the second member's first has number 3, the third's 5, and members count from there.",
			kind:     "StatefulSet",
			bounds:   bounds{"partition": int64(4), "maxUnavailable": int64(2)},
			replicas: []int32{3, 2, 2},
			want: []bounds{
				{"partition": 4.0, "maxUnavailable": 1.0}, {"partition": 1.0, "maxUnavailable": 1.0}, {"partition": 0.0, "maxUnavailable": 1.0},
			},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			kind, field := "Deployment", "strategy"
			if tc.kind != "" {
				kind, field = tc.kind, "updateStrategy"
			}
			template := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "apps/v1", "kind": kind,
				"metadata": map[string]any{"namespace": "shop", "name": "web", "uid": "t1"},
				"spec":     map[string]any{"replicas": int64(10), field: map[string]any{"rollingUpdate": tc.bounds}},
			}}
			binding := &workv1alpha1.ResourceBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
				Spec:       workv1alpha1.BindingSpec{Resource: workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: kind, Namespace: "shop", Name: "web", UID: "t1"}},
			}
			if tc.replicas == nil {
				binding.Spec.Clusters = []workv1alpha1.TargetCluster{{Name: "a"}}
			} else {
				binding.Spec.Placement = &policyv1alpha1.Placement{
					ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{ReplicaSchedulingType: policyv1alpha1.Divided},
				}
			}
			for i, n := range tc.replicas {
				binding.Spec.Clusters = append(binding.Spec.Clusters, workv1alpha1.TargetCluster{Name: string(rune('a' + i)), Replicas: n})
			}
			prepared, err := render.Prepare(template)
			if err != nil {
				t.Fatal(err)
			}
			var got []bounds
			for _, work := range render.Works(fleetID, prepared, binding) {
				if work.Err != nil {
					t.Fatal(work.Err)
				}
				var object struct{ Spec map[string]json.RawMessage }
				if err := json.Unmarshal(work.Work.Spec.Workload.Manifests[0].Raw, &object); err != nil {
					t.Fatal(err)
				}
				var strategy struct{ RollingUpdate bounds }
				if err := json.Unmarshal(object.Spec[field], &strategy); err != nil {
					t.Fatal(err)
				}
				got = append(got, strategy.RollingUpdate)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nbounds of the members (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
