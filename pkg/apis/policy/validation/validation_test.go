// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/apis/rawjson"
)

func newPolicy(change func(*policy.PropagationSpec)) *policy.PropagationPolicy {
	p := &policy.PropagationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "shop", ResourceVersion: "1"},
		Spec: policy.PropagationSpec{
			ResourceSelectors:  []policy.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}},
			Preemption:         policy.PreemptNever,
			SchedulerName:      "default-scheduler",
			ConflictResolution: policy.ConflictIfNoDiff,
			RecreatePolicy:     policy.RecreateNever,
		},
	}
	change(&p.Spec)
	return p
}

func TestValidatePropagation(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*policy.PropagationSpec)
		want   []string
	}{
		"Valid": {
			reason: "the least policy is fine",
			change: func(*policy.PropagationSpec) {},
		},
		"Anything": {
			reason: "* picks any kind",
			change: func(s *policy.PropagationSpec) {
				s.ResourceSelectors = []policy.ResourceSelector{{APIVersion: "*", Kind: "*"}}
			},
		},
		"NoSelector": {
			reason: "a policy for nothing is a mistake",
			change: func(s *policy.PropagationSpec) { s.ResourceSelectors = nil },
			want:   []string{"FieldValueRequired spec.resourceSelectors"},
		},
		"BadAPIVersion": {
			reason: "apiVersion is group/version",
			change: func(s *policy.PropagationSpec) { s.ResourceSelectors[0].APIVersion = "apps/v1/x" },
			want:   []string{"FieldValueInvalid spec.resourceSelectors[0].apiVersion"},
		},
		"OtherNamespace": {
			reason: "a namespaced policy has no say elsewhere",
			change: func(s *policy.PropagationSpec) { s.ResourceSelectors[0].Namespace = "other" },
			want:   []string{"FieldValueInvalid spec.resourceSelectors[0].namespace"},
		},
		"BadLabelSelector": {
			reason: "In needs values",
			change: func(s *policy.PropagationSpec) {
				s.ResourceSelectors[0].LabelSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn}}}
			},
			want: []string{"FieldValueRequired spec.resourceSelectors[0].labelSelector.matchExpressions[0].values"},
		},
		"Enums": {
			reason: "each enumeration names its values",
			change: func(s *policy.PropagationSpec) {
				s.Preemption, s.ConflictResolution, s.RecreatePolicy, s.ActivationPreference = "Maybe", "Ask", "Always", "Eager"
			},
			want: []string{
				"FieldValueNotSupported spec.preemption",
				"FieldValueNotSupported spec.conflictResolution",
				"FieldValueNotSupported spec.recreatePolicy",
				"FieldValueNotSupported spec.activationPreference",
			},
		},
		"Suspension": {
			reason: "all members and some members exclude each other",
			change: func(s *policy.PropagationSpec) {
				s.Suspension = &policy.Suspension{Dispatching: new(true), DispatchingOnClusters: &policy.SuspendClusters{ClusterNames: []string{"a"}}}
			},
			want: []string{"FieldValueForbidden spec.suspension.dispatchingOnClusters"},
		},
		"Priority": {
			reason: "a class found by name needs one",
			change: func(s *policy.PropagationSpec) {
				s.SchedulePriority = &policy.SchedulePriority{PriorityClassSource: policy.KubePriorityClass}
			},
			want: []string{"FieldValueRequired spec.schedulePriority.priorityClassName"},
		},
		"FederatedPriority": {
			reason: "classes of the fleet are those of Kubernetes",
			change: func(s *policy.PropagationSpec) {
				s.SchedulePriority = &policy.SchedulePriority{PriorityClassSource: policy.FederatedPriorityClass, PriorityClassName: "high"}
			},
			want: []string{"FieldValueInvalid spec.schedulePriority.priorityClassSource"},
		},
		"GracePeriod": {
			reason: "only a graceful purge has a grace period",
			change: func(s *policy.PropagationSpec) {
				s.Failover = &policy.FailoverBehavior{Application: &policy.ApplicationFailoverBehavior{
					PurgeMode: policy.PurgeDirectly, GracePeriodSeconds: ptr.To[int32](0),
					DecisionConditions: policy.DecisionConditions{TolerationSeconds: ptr.To[int32](-1)},
				}}
			},
			want: []string{
				"FieldValueInvalid spec.failover.application.decisionConditions.tolerationSeconds",
				"FieldValueInvalid spec.failover.application.gracePeriodSeconds",
				"FieldValueForbidden spec.failover.application.gracePeriodSeconds",
			},
		},
		"StatePreservation": {
			reason: "a rule needs a label to write to and a path to read from",
			change: func(s *policy.PropagationSpec) {
				s.Failover = &policy.FailoverBehavior{Cluster: &policy.ClusterFailoverBehavior{
					PurgeMode:         policy.PurgeGracefully,
					StatePreservation: &policy.StatePreservation{Rules: []policy.StatePreservationRule{{JSONPath: ".a"}}},
				}}
			},
			want: []string{
				"FieldValueRequired spec.failover.cluster.statePreservation.rules[0].aliasLabelName",
				"FieldValueInvalid spec.failover.cluster.statePreservation.rules[0].jsonPath",
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, summary(ValidatePropagation(newPolicy(tc.change)))); diff != "" {
				t.Errorf("\n%s\nValidatePropagation(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidatePropagationUpdate(t *testing.T) {
	old := newPolicy(func(*policy.PropagationSpec) {})
	changed := newPolicy(func(s *policy.PropagationSpec) { s.SchedulerName = "other" })
	want := []string{"FieldValueInvalid spec.schedulerName"}
	if diff := cmp.Diff(want, summary(ValidatePropagationUpdate(changed, old))); diff != "" {
		t.Errorf("two schedulers must not hand a template to and fro: -want, +got:\n%s", diff)
	}
}

func TestValidatePropagationScope(t *testing.T) {
	namespaced := newPolicy(func(*policy.PropagationSpec) {})
	cluster := &policy.ClusterPropagationPolicy{ObjectMeta: namespaced.ObjectMeta, Spec: namespaced.Spec}
	want := []string{"FieldValueForbidden metadata.namespace"}
	if diff := cmp.Diff(want, summary(ValidatePropagation(cluster))); diff != "" {
		t.Errorf("a cluster policy has no namespace: -want, +got:\n%s", diff)
	}
	cluster.Namespace, cluster.Spec.ResourceSelectors[0].Namespace = "", "any"
	if diff := cmp.Diff([]string(nil), summary(ValidatePropagation(cluster))); diff != "" {
		t.Errorf("a cluster policy selects in any namespace: -want, +got:\n%s", diff)
	}
}

func TestValidatePlacement(t *testing.T) {
	affinity := func(name string) policy.ClusterAffinityTerm { return policy.ClusterAffinityTerm{AffinityName: name} }
	cases := map[string]struct {
		reason    string
		placement policy.Placement
		want      []string
	}{
		"Empty": {reason: "everywhere"},
		"Auto":  {reason: "affinity narrows auto", placement: policy.Placement{Auto: &policy.AutoPlacement{}, ClusterAffinity: &policy.ClusterAffinity{}}},
		"AutoAndDivided": {
			reason: "auto decides how to divide",
			placement: policy.Placement{
				Auto:              &policy.AutoPlacement{},
				ReplicaScheduling: &policy.ReplicaSchedulingStrategy{ReplicaSchedulingType: policy.Duplicated},
			},
			want: []string{"FieldValueForbidden replicaScheduling"},
		},
		"BothAffinities": {
			reason:    "one affinity or an ordered list",
			placement: policy.Placement{ClusterAffinity: &policy.ClusterAffinity{}, ClusterAffinities: []policy.ClusterAffinityTerm{affinity("a")}},
			want:      []string{"FieldValueForbidden clusterAffinities"},
		},
		"AffinityTwice": {
			reason:    "the binding records the name in use",
			placement: policy.Placement{ClusterAffinities: []policy.ClusterAffinityTerm{affinity("a"), affinity("a"), affinity("")}},
			want:      []string{"FieldValueRequired clusterAffinities[2].affinityName", "FieldValueDuplicate clusterAffinities[1].affinityName"},
		},
		"FieldSelector": {
			reason: "a Cluster has three fields to select by",
			placement: policy.Placement{ClusterAffinity: &policy.ClusterAffinity{FieldSelector: &policy.FieldSelector{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "rack", Operator: corev1.NodeSelectorOpExists},
			}}}},
			want: []string{
				"FieldValueNotSupported clusterAffinity.fieldSelector.matchExpressions[0].key",
				"FieldValueNotSupported clusterAffinity.fieldSelector.matchExpressions[0].operator",
				"FieldValueRequired clusterAffinity.fieldSelector.matchExpressions[0].values",
			},
		},
		"Expression": {
			reason:    "an expression is bounded",
			placement: policy.Placement{ClusterAffinity: &policy.ClusterAffinity{Expression: strings.Repeat("a", 10241)}},
			want:      []string{"FieldValueTooLong clusterAffinity.expression"},
		},
		"Toleration": {
			reason:    "tolerationSeconds is about eviction",
			placement: policy.Placement{ClusterTolerations: []corev1.Toleration{{Key: "a", TolerationSeconds: ptr.To[int64](1)}}},
			want:      []string{"FieldValueInvalid clusterTolerations[0].effect"},
		},
		"TolerateEverything": {
			reason:    "an empty key needs Exists",
			placement: policy.Placement{ClusterTolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}, {Operator: corev1.TolerationOpEqual}}},
			want:      []string{"FieldValueInvalid clusterTolerations[1].operator"},
		},
		"SpreadRange": {
			reason:    "no number is at least 3 and at most 2",
			placement: policy.Placement{SpreadConstraints: []policy.SpreadConstraint{{SpreadByField: policy.SpreadByFieldCluster, MinGroups: 3, MaxGroups: 2}}},
			want:      []string{"FieldValueInvalid spreadConstraints[0].maxGroups"},
		},
		"SpreadWithoutCluster": {
			reason:    "the number of members has to be bounded too",
			placement: policy.Placement{SpreadConstraints: []policy.SpreadConstraint{{SpreadByField: policy.SpreadByFieldRegion, MinGroups: 1}}},
			want:      []string{"FieldValueRequired spreadConstraints"},
		},
		"SpreadByLabelAlone": {
			reason:    "a label needs no field beside it",
			placement: policy.Placement{SpreadConstraints: []policy.SpreadConstraint{{SpreadByLabel: "rack", MinGroups: 1}}},
		},
		"SpreadTwice": {
			reason: "one bound per field",
			placement: policy.Placement{SpreadConstraints: []policy.SpreadConstraint{
				{SpreadByField: policy.SpreadByFieldCluster, MinGroups: 1}, {SpreadByField: policy.SpreadByFieldCluster, MinGroups: 2},
			}},
			want: []string{"FieldValueDuplicate spreadConstraints[1].spreadByField"},
		},
		"Divided": {
			reason:    "Divided has to say how",
			placement: policy.Placement{ReplicaScheduling: &policy.ReplicaSchedulingStrategy{ReplicaSchedulingType: policy.Divided}},
			want:      []string{"FieldValueRequired replicaScheduling.replicaDivisionPreference"},
		},
		"Weights": {
			reason: "a weight of nothing and two weights for the same members say nothing",
			placement: policy.Placement{ReplicaScheduling: &policy.ReplicaSchedulingStrategy{
				ReplicaSchedulingType: policy.Divided, ReplicaDivisionPreference: policy.Weighted,
				WeightPreference: &policy.ClusterPreferences{StaticWeightList: []policy.StaticClusterWeight{
					{TargetCluster: policy.ClusterAffinity{ClusterNames: []string{"a"}}, Weight: 1},
					{TargetCluster: policy.ClusterAffinity{ClusterNames: []string{"a"}}, Weight: 2},
					{TargetCluster: policy.ClusterAffinity{ClusterNames: []string{"b"}}, Weight: 0},
				}},
			}},
			want: []string{
				"FieldValueInvalid replicaScheduling.weightPreference.staticWeightList[1].targetCluster",
				"FieldValueInvalid replicaScheduling.weightPreference.staticWeightList[2].weight",
			},
		},
		"NoWeights": {
			reason: "an empty preference prefers nothing",
			placement: policy.Placement{ReplicaScheduling: &policy.ReplicaSchedulingStrategy{
				ReplicaSchedulingType: policy.Duplicated, WeightPreference: &policy.ClusterPreferences{},
			}},
			want: []string{"FieldValueRequired replicaScheduling.weightPreference"},
		},
		"WorkloadAffinity": {
			reason:    "a group is made by a label",
			placement: policy.Placement{WorkloadAffinity: &policy.WorkloadAffinity{AntiAffinity: &policy.WorkloadAffinityTerm{}}},
			want:      []string{"FieldValueRequired workloadAffinity.antiAffinity.groupByLabelKey"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, summary(ValidatePlacement(&tc.placement, nil))); diff != "" {
				t.Errorf("\n%s\nValidatePlacement(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateOverriders(t *testing.T) {
	value := rawjson.Value{Raw: []byte("1")}
	cases := map[string]struct {
		reason     string
		overriders policy.Overriders
		want       []string
	}{
		"Empty": {
			reason: "a rule that changes nothing is a mistake",
			want:   []string{"FieldValueRequired overriders"},
		},
		"Valid": {
			reason: "one of each is fine",
			overriders: policy.Overriders{
				ImageOverrider:       []policy.ImageOverrider{{Component: policy.Registry, Operator: policy.OverriderOpReplace, Value: "r"}, {Component: policy.Tag, Operator: policy.OverriderOpRemove}},
				CommandOverrider:     []policy.CommandArgsOverrider{{ContainerName: "app", Operator: policy.OverriderOpAdd, Value: []string{"-v"}}},
				ArgsOverrider:        []policy.CommandArgsOverrider{{ContainerName: "app", Operator: policy.OverriderOpRemove, Value: []string{"-v"}}},
				LabelsOverrider:      []policy.LabelAnnotationOverrider{{Operator: policy.OverriderOpAdd, Value: map[string]string{"a": "b"}}},
				AnnotationsOverrider: []policy.LabelAnnotationOverrider{{Operator: policy.OverriderOpReplace, Value: map[string]string{"a": "any text"}}},
				FieldOverrider:       []policy.FieldOverrider{{FieldPath: "/data/c.yaml", YAML: []policy.FieldPatchOperation{{SubPath: "/a", Operator: policy.OverriderOpAdd, Value: value}}}},
				Plaintext:            []policy.PlaintextOverrider{{Path: "/metadata/labels/a~1b", Operator: policy.OverriderOpAdd, Value: value}},
			},
		},
		"Image": {
			reason:     "part, operator and value are checked",
			overriders: policy.Overriders{ImageOverrider: []policy.ImageOverrider{{Component: "Host", Operator: policy.OverriderOpAdd, Predicate: &policy.ImagePredicate{Path: "spec"}}}},
			want: []string{
				"FieldValueNotSupported overriders.imageOverrider[0].component",
				"FieldValueRequired overriders.imageOverrider[0].value",
				"FieldValueInvalid overriders.imageOverrider[0].predicate.path",
			},
		},
		"Command": {
			reason:     "there is no replace for a list of arguments",
			overriders: policy.Overriders{CommandOverrider: []policy.CommandArgsOverrider{{Operator: policy.OverriderOpReplace}}},
			want: []string{
				"FieldValueRequired overriders.commandOverrider[0].containerName",
				"FieldValueNotSupported overriders.commandOverrider[0].operator",
			},
		},
		"Labels": {
			reason:     "a member would refuse such a label",
			overriders: policy.Overriders{LabelsOverrider: []policy.LabelAnnotationOverrider{{Operator: policy.OverriderOpAdd, Value: map[string]string{"a": "not a label"}}}},
			want:       []string{"FieldValueInvalid overriders.labelsOverrider[0].value[a]"},
		},
		"Field": {
			reason:     "text is JSON or YAML",
			overriders: policy.Overriders{FieldOverrider: []policy.FieldOverrider{{FieldPath: "/data/a"}}},
			want:       []string{"FieldValueRequired overriders.fieldOverrider[0]"},
		},
		"NoValue": {
			reason:     "add needs something to add",
			overriders: policy.Overriders{Plaintext: []policy.PlaintextOverrider{{Path: "/spec/a", Operator: policy.OverriderOpAdd}, {Path: "/spec/a", Operator: policy.OverriderOpRemove}}},
			want:       []string{"FieldValueRequired overriders.plaintext[0].value"},
		},
		"BadPointer": {
			reason:     "~ has to be escaped in a JSON pointer",
			overriders: policy.Overriders{Plaintext: []policy.PlaintextOverrider{{Path: "/spec/a~b", Operator: policy.OverriderOpRemove}}},
			want:       []string{"FieldValueInvalid overriders.plaintext[0].path"},
		},
		"Identity": {
			reason:     "an override must not make another object of the template",
			overriders: policy.Overriders{Plaintext: []policy.PlaintextOverrider{{Path: "/metadata/name", Operator: policy.OverriderOpReplace, Value: value}, {Path: "/metadata", Operator: policy.OverriderOpRemove}}},
			want:       []string{"FieldValueForbidden overriders.plaintext[0].path", "FieldValueForbidden overriders.plaintext[1].path"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, summary(ValidateOverriders(&tc.overriders, field.NewPath("overriders")))); diff != "" {
				t.Errorf("\n%s\nValidateOverriders(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateOverride(t *testing.T) {
	o := &policy.OverridePolicy{ObjectMeta: metav1.ObjectMeta{Name: "o", Namespace: "shop"}}
	want := []string{"FieldValueRequired spec.overrideRules"}
	if diff := cmp.Diff(want, summary(ValidateOverride(o))); diff != "" {
		t.Errorf("no selector means everything, no rule is a mistake: -want, +got:\n%s", diff)
	}
}

func summary(errs field.ErrorList) []string {
	var lines []string
	for _, err := range errs {
		lines = append(lines, string(err.Type)+" "+strings.TrimPrefix(err.Field, "<nil>."))
	}
	return lines
}
