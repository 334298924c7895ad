// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tainttoleration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func candidate(placed bool, taints ...corev1.Taint) *framework.Candidate {
	cluster := &clusterv1alpha1.Cluster{Spec: clusterv1alpha1.ClusterSpec{Taints: taints}}
	return &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Placed: placed}
}

func TestFilter(t *testing.T) {
	refused := ErrReason + "{k: v}"
	cases := map[string]struct {
		reason      string
		effect      corev1.TaintEffect
		placed      bool
		tolerations []corev1.Toleration
		want        string
	}{
		"NoSchedule":       {reason: "The taint keeps new placements off.", effect: corev1.TaintEffectNoSchedule, want: refused},
		"NoExecute":        {reason: "So does the stronger one.", effect: corev1.TaintEffectNoExecute, want: refused},
		"PreferNoSchedule": {reason: "The weaker one only lowers the score.", effect: corev1.TaintEffectPreferNoSchedule},
		"Placed":           {reason: "What is there stays.", effect: corev1.TaintEffectNoSchedule, placed: true},
		"Tolerated": {
			reason: "A toleration lifts the taint.", effect: corev1.TaintEffectNoSchedule,
			tolerations: []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}},
		},
		"OtherTolerated": {
			reason: "A toleration of another value does not.", effect: corev1.TaintEffectNoSchedule,
			tolerations: []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpEqual, Value: "w"}}, want: refused,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := TaintToleration{}.Filter(t.Context(), &framework.Request{Tolerations: tc.tolerations},
				candidate(tc.placed, corev1.Taint{Key: "k", Value: "v", Effect: tc.effect})).Message()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestScore(t *testing.T) {
	avoid := func(key string) corev1.Taint {
		return corev1.Taint{Key: key, Effect: corev1.TaintEffectPreferNoSchedule}
	}
	var scores []int64
	for _, c := range []*framework.Candidate{candidate(false), candidate(false, avoid("a")), candidate(false, avoid("a"), avoid("b"))} {
		score, status := TaintToleration{}.Score(t.Context(), &framework.Request{}, c)
		if status != nil {
			t.Fatal(status.Err())
		}
		scores = append(scores, score)
	}
	TaintToleration{}.NormalizeScores(scores)
	if diff := cmp.Diff([]int64{1000, 500, 0}, scores); diff != "" {
		t.Errorf("the fewer taints ask to be avoided the better: -want, +got:\n%s", diff)
	}
}
