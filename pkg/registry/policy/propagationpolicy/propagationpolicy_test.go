// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package propagationpolicy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/registry/table"
	"fleet.dev/fleet/pkg/registry/table/tabletest"
)

// valid is a policy that validation accepts.
func valid(change func(*policy.PropagationSpec)) *policy.PropagationPolicy {
	p := &policy.PropagationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop"},
		Spec: policy.PropagationSpec{
			ResourceSelectors:  []policy.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}},
			Preemption:         policy.PreemptNever,
			SchedulerName:      "default-scheduler",
			ConflictResolution: policy.ConflictIfNoDiff,
			RecreatePolicy:     policy.RecreateNever,
		},
	}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

func weighted(affinity policy.ClusterAffinity) *policy.ReplicaSchedulingStrategy {
	return &policy.ReplicaSchedulingStrategy{
		ReplicaSchedulingType: policy.Divided, ReplicaDivisionPreference: policy.Weighted,
		WeightPreference: &policy.ClusterPreferences{StaticWeightList: []policy.StaticClusterWeight{{TargetCluster: affinity, Weight: 1}}},
	}
}

// TestExpressions proves that every affinity of a placement is parsed.
func TestExpressions(t *testing.T) {
	good, bad := policy.ClusterAffinity{Expression: `cluster.spec.region == "eu"`}, policy.ClusterAffinity{Expression: `cluster.spec.region =`}
	tests := map[string]struct {
		reason string
		spec   func(*policy.PropagationSpec)
		want   []string
	}{
		"Valid": {
			reason: "CEL is accepted everywhere",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ClusterAffinities = []policy.ClusterAffinityTerm{{AffinityName: "a", ClusterAffinity: good, OverflowAffinities: []policy.ClusterAffinity{good}}}
				s.Placement.ReplicaScheduling = weighted(good)
			},
		},
		"Affinity": {
			reason: "the only affinity",
			spec:   func(s *policy.PropagationSpec) { s.Placement.ClusterAffinity = &bad },
			want:   []string{"spec.placement.clusterAffinity.expression"},
		},
		"Terms": {
			reason: "the affinity of a term is written into the term itself",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ClusterAffinities = []policy.ClusterAffinityTerm{
					{AffinityName: "a", ClusterAffinity: good},
					{AffinityName: "b", ClusterAffinity: bad, OverflowAffinities: []policy.ClusterAffinity{good, bad}},
				}
			},
			want: []string{
				"spec.placement.clusterAffinities[1].expression",
				"spec.placement.clusterAffinities[1].overflowAffinities[1].expression",
			},
		},
		"Weights": {
			reason: "weights choose members as well",
			spec:   func(s *policy.PropagationSpec) { s.Placement.ReplicaScheduling = weighted(bad) },
			want:   []string{"spec.placement.replicaScheduling.weightPreference.staticWeightList[0].targetCluster.expression"},
		},
	}
	strategy := newStrategy(runtime.NewScheme(), true)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := valid(tc.spec)
			updated := p.DeepCopy()
			updated.ResourceVersion = "1"
			var onCreate, onUpdate []string
			for _, err := range strategy.Validate(t.Context(), p) {
				onCreate = append(onCreate, err.Field)
			}
			for _, err := range strategy.ValidateUpdate(t.Context(), updated, updated.DeepCopy()) {
				onUpdate = append(onUpdate, err.Field)
			}
			if diff := cmp.Diff(tc.want, onCreate); diff != "" {
				t.Errorf("%s: Validate, -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want, onUpdate); diff != "" {
				t.Errorf("%s: ValidateUpdate, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	overflow := []policy.ClusterAffinityTerm{{AffinityName: "a"}, {AffinityName: "b", OverflowAffinities: []policy.ClusterAffinity{{ClusterNames: []string{"m1"}}}}}
	dynamic := &policy.ClusterPreferences{DynamicWeight: policy.DynamicWeightByAvailableReplicas}
	static := weighted(policy.ClusterAffinity{}).WeightPreference
	tests := map[string]struct {
		reason string
		spec   func(*policy.PropagationSpec)
		want   []string
	}{
		"None": {reason: "there is nothing to say about most policies"},
		"Association": {
			reason: "it is deprecated",
			spec:   func(s *policy.PropagationSpec) { s.Association = true },
			want:   []string{"spec.association: deprecated; use spec.propagateDeps"},
		},
		"Selectors": {
			reason: "a name leaves nothing to the labels",
			spec:   func(s *policy.PropagationSpec) { s.ResourceSelectors[0].LabelSelector = &metav1.LabelSelector{} },
			want:   []string{"spec.resourceSelectors[0].labelSelector: ignored, because name is set"},
		},
		"Duplicated": {
			reason: "nothing is divided",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ReplicaScheduling = &policy.ReplicaSchedulingStrategy{
					ReplicaSchedulingType: policy.Duplicated, ReplicaDivisionPreference: policy.Weighted, WeightPreference: static,
				}
			},
			want: []string{
				"spec.placement.replicaScheduling.replicaDivisionPreference: ignored with replicaSchedulingType Duplicated",
				"spec.placement.replicaScheduling.weightPreference: ignored with replicaSchedulingType Duplicated",
			},
		},
		"Aggregated": {
			reason: "it goes by capacity alone",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ReplicaScheduling = &policy.ReplicaSchedulingStrategy{
					ReplicaSchedulingType: policy.Divided, ReplicaDivisionPreference: policy.Aggregated, WeightPreference: static,
				}
			},
			want: []string{"spec.placement.replicaScheduling.weightPreference: ignored with replicaDivisionPreference Aggregated"},
		},
		"StaticAndDynamic": {
			reason: "the dynamic weight is the one that counts",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ReplicaScheduling = weighted(policy.ClusterAffinity{})
				s.Placement.ReplicaScheduling.WeightPreference.DynamicWeight = policy.DynamicWeightByAvailableReplicas
			},
			want: []string{"spec.placement.replicaScheduling.weightPreference.staticWeightList: ignored, because dynamicWeight is set"},
		},
		"OverflowWithoutCapacity": {
			reason: "where every member takes all replicas none has too little room",
			spec:   func(s *policy.PropagationSpec) { s.Placement.ClusterAffinities = overflow },
			want:   []string{"spec.placement.clusterAffinities[1].overflowAffinities: ignored, because replicas are not divided by capacity"},
		},
		"OverflowWithStaticWeights": {
			reason: "fixed weights do not ask for room either",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ClusterAffinities = overflow
				s.Placement.ReplicaScheduling = weighted(policy.ClusterAffinity{})
			},
			want: []string{"spec.placement.clusterAffinities[1].overflowAffinities: ignored, because replicas are not divided by capacity"},
		},
		"OverflowWithDynamicWeight": {
			reason: "room is what is divided by",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ClusterAffinities = overflow
				s.Placement.ReplicaScheduling = &policy.ReplicaSchedulingStrategy{
					ReplicaSchedulingType: policy.Divided, ReplicaDivisionPreference: policy.Weighted, WeightPreference: dynamic,
				}
			},
		},
		"OverflowWithAuto": {
			reason: "auto divides by capacity",
			spec: func(s *policy.PropagationSpec) {
				s.Placement.ClusterAffinities = overflow
				s.Placement.Auto = &policy.AutoPlacement{}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := newStrategy(runtime.NewScheme(), true).WarningsOnCreate(t.Context(), valid(tc.spec))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: warnings, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestGeneration(t *testing.T) {
	old := valid(nil)
	old.Generation = 3
	updated := old.DeepCopy()
	updated.Spec.Priority = 5
	newStrategy(runtime.NewScheme(), true).PrepareForUpdate(t.Context(), updated, old)
	if updated.Generation != 4 {
		t.Errorf("bindings tell by the generation which policy they follow: want 4 after a change, got %d", updated.Generation)
	}
}

func TestColumns(t *testing.T) {
	named := func(name string, change func(*policy.PropagationSpec)) *policy.PropagationPolicy {
		p := valid(change)
		p.Name = name
		return p
	}
	tabletest.Golden(t, table.New(columns, cells), "columns.txt",
		named("empty-placement", nil),
		named("auto", func(s *policy.PropagationSpec) {
			s.Placement.Auto = &policy.AutoPlacement{}
			s.ResourceSelectors = []policy.ResourceSelector{{APIVersion: "*", Kind: "*"}}
		}),
		named("weighted", func(s *policy.PropagationSpec) {
			s.Placement.ReplicaScheduling = weighted(policy.ClusterAffinity{})
			s.Priority = -2
		}),
		named("many-selectors", func(s *policy.PropagationSpec) {
			for range 5 {
				s.ResourceSelectors = append(s.ResourceSelectors, policy.ResourceSelector{Kind: "Service"})
			}
		}),
	)
}
