// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// LeaseGrace is how long a member's lease may stay unrenewed. Syncers renew
// every ten seconds, so three renewals may be lost, and a member that is cut off
// is Unknown within forty seconds, the time upstream gives nodes.
const LeaseGrace = 35 * time.Second

// unheard says whether the Cluster is marked as not heard of.
func unheard(cluster *clusterv1alpha1.Cluster) bool {
	return meta.IsStatusConditionPresentAndEqual(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady, metav1.ConditionUnknown)
}

// markUnheard sets Ready=Unknown, unless it is, and reports whether it changed
// something.
func markUnheard(status *clusterv1alpha1.ClusterStatus, generation int64) bool {
	if meta.IsStatusConditionPresentAndEqual(status.Conditions, clusterv1alpha1.ClusterConditionReady, metav1.ConditionUnknown) {
		return false
	}
	return meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type:               clusterv1alpha1.ClusterConditionReady,
		Status:             metav1.ConditionUnknown,
		Reason:             clusterv1alpha1.ClusterReasonStatusUnknown,
		Message:            fmt.Sprintf("the syncer of this member has not renewed its lease for %s", LeaseGrace),
		ObservedGeneration: generation,
	})
}

// taintKeys are the keys of the taints this controller owns, with the effect
// NoSchedule.
var taintKeys = []string{wellknown.TaintClusterNotReady, wellknown.TaintClusterUnreachable, wellknown.TaintClusterTerminating}

// wantedTaint returns the key of the one taint the Cluster should have, empty
// for none.
func wantedTaint(cluster *clusterv1alpha1.Cluster) string {
	if !cluster.DeletionTimestamp.IsZero() {
		return wellknown.TaintClusterTerminating
	}
	ready := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady)
	switch {
	case ready == nil || ready.Status == metav1.ConditionFalse:
		return wellknown.TaintClusterNotReady
	case ready.Status == metav1.ConditionUnknown:
		return wellknown.TaintClusterUnreachable
	default:
		return ""
	}
}

// ownTaint returns the key of the controller's taint that the Cluster has, empty
// for none.
func ownTaint(cluster *clusterv1alpha1.Cluster) string {
	for i := range cluster.Spec.Taints {
		if owned(&cluster.Spec.Taints[i]) {
			return cluster.Spec.Taints[i].Key
		}
	}
	return ""
}

// owned says whether a taint is one of this controller's.
func owned(taint *corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule && slices.Contains(taintKeys, taint.Key)
}

// setTaint makes want the only one of this controller's taints and reports
// whether it changed something. Other taints, and their order, stay.
func setTaint(cluster *clusterv1alpha1.Cluster, want string) bool {
	present := false
	taints := slices.DeleteFunc(slices.Clone(cluster.Spec.Taints), func(taint corev1.Taint) bool {
		if owned(&taint) && taint.Key == want {
			present = true
			return false
		}
		return owned(&taint)
	})
	if want != "" && !present {
		taints = append(taints, corev1.Taint{Key: want, Effect: corev1.TaintEffectNoSchedule})
	} else if len(taints) == len(cluster.Spec.Taints) {
		return false
	}
	cluster.Spec.Taints = taints
	return true
}

// heartbeats remembers when each member was last heard of, by the clock of this
// process: clocks of syncers are not trusted, only that a renewal differs from
// the one before. A member that is first seen now counts as heard of now, so
// that a restart of the controller declares nobody lost.
type heartbeats struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	seen map[string]heartbeat
}

type heartbeat struct {
	renewal time.Time
	at      time.Time
	// unheard is whether the Cluster was last seen marked as not heard of.
	unheard bool
}

func newHeartbeats(c clock.PassiveClock) *heartbeats {
	return &heartbeats{clock: c, seen: map[string]heartbeat{}}
}

// observeLease notes the lease of a member; nil, which is no heartbeat, means
// that there is none. It returns how long ago the member was heard of.
func (h *heartbeats) observeLease(cluster string, lease *coordinationv1.Lease) time.Duration {
	var renewal time.Time
	if lease != nil && lease.Spec.RenewTime != nil {
		renewal = lease.Spec.RenewTime.Time
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	last, ok := h.seen[cluster]
	if !ok || lease != nil && !last.renewal.Equal(renewal) {
		last.renewal, last.at = renewal, h.clock.Now()
		h.seen[cluster] = last
	}
	return h.clock.Since(last.at)
}

// observeReport notes whether the Cluster is marked as not heard of. When the
// mark goes somebody has reported, which is a heartbeat: the lease comes by
// another watch, maybe later, and the report must not be overwritten meanwhile.
func (h *heartbeats) observeReport(cluster string, unheard bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, ok := h.seen[cluster]
	if !ok || last.unheard && !unheard {
		last.at = h.clock.Now()
	}
	last.unheard = unheard
	h.seen[cluster] = last
}

// forget drops a member that is gone.
func (h *heartbeats) forget(cluster string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seen, cluster)
}
