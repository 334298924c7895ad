// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tainttoleration

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	v1helper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// TaintToleration is a plugin that checks the tolerations of the placement
// against the taints of the member, and prefers members with fewer taints that
// ask to be avoided.
type TaintToleration struct{}

var (
	_ framework.FilterPlugin    = TaintToleration{}
	_ framework.ScoreNormalizer = TaintToleration{}
	_ framework.EventInterest   = TaintToleration{}
)

const (
	// Name of the plugin in the registry and in configuration.
	Name = "TaintToleration"
	// ErrReason begins the refusal of a member with a taint; the key follows.
	ErrReason = "had untolerated taint "
)

// Name returns the name of the plugin.
func (TaintToleration) Name() string { return Name }

// Events returns what may lift a refusal.
func (TaintToleration) Events() framework.Event { return framework.MemberTaints }

// Filter passes members without an untolerated taint, and those that run the
// template: NoSchedule is about new placements, and NoExecute is carried out by
// the eviction controllers in their own time.
func (TaintToleration) Filter(ctx context.Context, request *framework.Request, candidate *framework.Candidate) *framework.Status {
	if candidate.Placed {
		return nil
	}
	taint, untolerated := v1helper.FindMatchingUntoleratedTaint(klog.FromContext(ctx), candidate.Cluster.Spec.Taints, request.Tolerations, keepsOff, true)
	if untolerated {
		return framework.Refuse(ErrReason + "{" + taint.Key + ": " + taint.Value + "}")
	}
	return nil
}

func keepsOff(taint *corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
}

// Score counts the untolerated taints that ask to be avoided.
func (TaintToleration) Score(ctx context.Context, request *framework.Request, candidate *framework.Candidate) (int64, *framework.Status) {
	var avoid int64
	for _, taint := range candidate.Cluster.Spec.Taints {
		if taint.Effect != corev1.TaintEffectPreferNoSchedule {
			continue
		}
		if !v1helper.TolerationsTolerateTaint(klog.FromContext(ctx), request.Tolerations, &taint, true) {
			avoid++
		}
	}
	return avoid, nil
}

// NormalizeScores turns the counts round: the fewest taints get MaxScore.
func (TaintToleration) NormalizeScores(scores []int64) {
	var most int64
	for _, count := range scores {
		most = max(most, count)
	}
	for i, count := range scores {
		scores[i] = framework.MaxScore
		if most > 0 {
			scores[i] -= framework.MaxScore * count / most
		}
	}
}

// New makes the plugin.
func New(_ json.RawMessage, _ framework.Handle) (framework.Plugin, error) {
	return TaintToleration{}, nil
}
