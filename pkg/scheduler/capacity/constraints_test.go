// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var (
	web   = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	other = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
)

func TestConstraintsOf(t *testing.T) {
	term := func(selector *metav1.LabelSelector, namespaces ...string) []corev1.PodAffinityTerm {
		return []corev1.PodAffinityTerm{{LabelSelector: selector, TopologyKey: "zone", Namespaces: namespaces}}
	}
	cases := map[string]struct {
		reason string
		spec   corev1.PodSpec
		want   *Constraints
	}{
		"None": {reason: "Most Pods have none."},
		"Limits": {
			reason: "Quotas count limits.",
			spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")},
			}}}},
			want: &Constraints{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}},
		},
		"HostPort": {
			reason: "Ports of the node are held, those of the Pod alone are not.",
			spec:   corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{HostPort: 80}, {ContainerPort: 81}}}}},
			want:   &Constraints{HostPorts: []corev1.ContainerPort{{HostPort: 80}}},
		},
		"Deadline": {
			reason: "Some quotas count only Pods that end.",
			spec:   corev1.PodSpec{ActiveDeadlineSeconds: ptr.To[int64](5)},
			want:   &Constraints{Terminating: true},
		},
		"Apart": {
			reason: "Required anti-affinity to Pods like this one keeps them apart.",
			spec:   corev1.PodSpec{Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(web)}}},
			want:   &Constraints{Topology: []Rule{{Key: "zone", Apart: true}}},
		},
		"Together": {
			reason: "Required affinity to them keeps them together.",
			spec:   corev1.PodSpec{Affinity: &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(web, "shop")}}},
			want:   &Constraints{Topology: []Rule{{Key: "zone"}}},
		},
		"Others": {
			reason: "Affinity to Pods of others, or of another namespace, says nothing about these.",
			spec: corev1.PodSpec{Affinity: &corev1.Affinity{
				PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(other)},
				PodAffinity:     &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term(web, "elsewhere")},
			}},
		},
		"Spread": {
			reason: "Hard spread constraints that count Pods like this one bind; the defaults of their policies are upstream's.",
			spec: corev1.PodSpec{TopologySpreadConstraints: []corev1.TopologySpreadConstraint{
				{MaxSkew: 2, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: web},
				{
					MaxSkew: 1, TopologyKey: "rack", WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: web, MinDomains: ptr.To[int32](3),
					NodeAffinityPolicy: ptr.To(corev1.NodeInclusionPolicyIgnore), NodeTaintsPolicy: ptr.To(corev1.NodeInclusionPolicyHonor),
				},
				{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: web},
				{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: other},
			}},
			want: &Constraints{Topology: []Rule{
				{Key: "zone", Spread: &Spread{MaxSkew: 2, MinDomains: 1}},
				{Key: "rack", Spread: &Spread{MaxSkew: 1, MinDomains: 3, AllNodes: true, Tolerated: true}},
			}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := ConstraintsOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{"app": "web"}}, Spec: tc.spec})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nConstraintsOf(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
