// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	quotacore "k8s.io/kubernetes/pkg/quota/v1/evaluator/core"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// quota is what a ResourceQuota leaves.
type quota struct {
	object    *corev1.ResourceQuota // for upstream's matcher
	remaining []amount
}

func quotasOf(from []clusterv1alpha1.NamespaceQuota) map[string][]quota {
	if len(from) == 0 {
		return nil
	}
	out := map[string][]quota{}
	for _, q := range from {
		object := &corev1.ResourceQuota{}
		object.Name = q.Name
		object.Spec.Scopes, object.Spec.ScopeSelector = q.Scopes, q.ScopeSelector
		object.Status.Hard = q.Remaining
		out[q.Namespace] = append(out[q.Namespace], quota{object: object, remaining: amountsIn(q.Remaining)})
	}
	return out
}

// usage is what quotas count for one Pod.
type usage struct {
	pod  *corev1.Pod
	each []amount
}

// pods is upstream's way to count Pods; it looks nothing up.
var pods = quotacore.NewPodEvaluator(nil, clock.RealClock{})

func usageOf(from *workv1alpha1.ReplicaRequirements, constraints *Constraints) (usage, error) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: make([]corev1.Container, 1)}}
	resources := &pod.Spec.Containers[0].Resources
	if from != nil {
		resources.Requests = from.ResourceRequest
		pod.Spec.PriorityClassName = from.PriorityClassName
	}
	if constraints != nil {
		resources.Limits = constraints.Limits
		if constraints.Terminating {
			pod.Spec.ActiveDeadlineSeconds = new(int64)
		}
	}
	counted, err := pods.Usage(pod)
	if err != nil {
		return usage{}, fmt.Errorf("count a pod for quotas: %w", err)
	}
	return usage{pod: pod, each: newVector(counted).amounts()}, nil
}

// quotaRoom is how many replicas the quotas of their namespace leave.
func (s *state) quotaRoom(demand *Demand) int64 {
	room := int64(math.MaxInt64)
	for _, q := range s.quotas[demand.namespace] {
		if u, ok := q.concerns(demand); ok {
			for _, a := range u.each {
				if left, limited := find(q.remaining, a.id); limited {
					room = min(room, left/a.value)
				}
			}
		}
	}
	return room
}

// concerns returns what the quota counts for a Pod, false when it does not count
// it. What upstream cannot read is not counted.
func (q quota) concerns(demand *Demand) (usage, bool) {
	u, err := demand.usage()
	if err != nil {
		return u, false
	}
	matches, err := pods.Matches(q.object, u.pod)
	return u, err == nil && matches
}

// quotasLess reports whether other leaves more of some quota, or lacks one.
func quotasLess(quotas, other map[string][]quota) bool {
	for namespace, before := range quotas {
		now := map[string][]amount{}
		for _, q := range other[namespace] {
			now[q.object.Name] = q.remaining
		}
		for _, q := range before {
			then, limited := now[q.object.Name]
			if !limited || smaller(q.remaining, then) {
				return true
			}
		}
	}
	return false
}

// smaller reports whether one has more of something than the other, or does not
// bound it.
func smaller(amounts, than []amount) bool {
	return slices.ContainsFunc(amounts, func(a amount) bool {
		now, bound := find(than, a.id)
		return !bound || now > a.value
	})
}
