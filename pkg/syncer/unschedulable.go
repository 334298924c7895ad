// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// unschedulableAfter is how long a Pod finds no node before that is told: many find
// one a moment later, when another has gone.
const unschedulableAfter = 10 * time.Second

// unschedulable knows the Pods of a member that find no node, by the object of a
// work that they belong to.
type unschedulable struct {
	clock clock.PassiveClock

	mu    sync.Mutex
	since map[objectIdentity]map[types.UID]time.Time
}

func newUnschedulable(clock clock.PassiveClock) *unschedulable {
	return &unschedulable{clock: clock, since: map[objectIdentity]map[types.UID]time.Time{}}
}

// follow learns of a changed Pod, nil when there is none. It reports whether that
// matters for what the Pod belongs to.
func (u *unschedulable) follow(old, now *pod) bool {
	was, is := since(old), since(now)
	u.mu.Lock()
	defer u.mu.Unlock()
	if old != nil && !was.IsZero() {
		of := u.since[old.owner]
		delete(of, old.UID)
		if len(of) == 0 {
			delete(u.since, old.owner)
		}
	}
	if now != nil && !is.IsZero() {
		if u.since[now.owner] == nil {
			u.since[now.owner] = map[types.UID]time.Time{}
		}
		u.since[now.owner][now.UID] = is
	}
	return !was.Equal(is)
}

func since(p *pod) time.Time {
	if p == nil {
		return time.Time{}
	}
	return p.unschedulableSince
}

// of returns what is to be told about an object, nil when there is nothing, and
// after which time there will be more to tell, 0 when never.
func (u *unschedulable) of(object objectIdentity) (pods *workv1alpha1.UnschedulablePods, again time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, since := range u.since[object] {
		if wait := unschedulableAfter - u.clock.Since(since); wait > 0 {
			if again == 0 || wait < again {
				again = wait
			}
			continue
		}
		if pods == nil {
			pods = &workv1alpha1.UnschedulablePods{}
		}
		pods.Count++
		if pods.Since.Time.Before(since) {
			pods.Since = metav1.NewTime(since)
		}
	}
	return pods, again
}

// notRunning returns of the Pods of an object that find no node those that it lacks: one
// that is to replace another, or that comes on top of those wanted, is no replica that
// does not run. Nil when it lacks none, or the object is not known.
func notRunning(pods *workv1alpha1.UnschedulablePods, object *observed) *workv1alpha1.UnschedulablePods {
	if pods == nil || object == nil {
		return nil
	}
	lacking, ok := object.lacking(pods.Count)
	switch {
	case !ok || lacking >= pods.Count:
		return pods
	case lacking <= 0:
		return nil
	default:
		return &workv1alpha1.UnschedulablePods{Count: lacking, Since: pods.Since}
	}
}

// lacking returns how many replicas the object wants beyond those that have a node or
// are ready, when so many of its Pods have none; false when it does not count replicas
// as workloads of Kubernetes do.
func (o *observed) lacking(waiting int32) (int32, bool) {
	var manifest struct {
		Spec struct {
			Replicas *int32 `json:"replicas"`
		} `json:"spec"`
	}
	var status struct {
		Replicas      int32 `json:"replicas"`
		ReadyReplicas int32 `json:"readyReplicas"`
	}
	if json.Unmarshal(o.manifest, &manifest) != nil || manifest.Spec.Replicas == nil || json.Unmarshal(o.status, &status) != nil {
		return 0, false
	}
	return *manifest.Spec.Replicas - max(status.Replicas-waiting, status.ReadyReplicas), true
}

// unschedulableSince returns since when the member's scheduler finds no node for a
// Pod, the zero time when it does, or has not tried.
func unschedulableSince(p *corev1.Pod) time.Time {
	if p.Spec.NodeName != "" || p.DeletionTimestamp != nil {
		return time.Time{}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// revisionLabels are the labels by which Pods carry the hash of their revision, and
// who makes a ReplicaSet for each, named after itself and the hash.
var revisionLabels = map[string]schema.GroupKind{
	appsv1.DefaultDeploymentUniqueLabelKey: {Group: appsv1.GroupName, Kind: "Deployment"},
	"rollouts-pod-template-hash":           {Group: "argoproj.io", Kind: "Rollout"},
}

// ownerOf returns what a Pod belongs to, by its controller: the object of a work, if
// there is one. Who owns a ReplicaSet its name and the Pods' labels tell, which saves
// looking at ReplicaSets.
func ownerOf(p *corev1.Pod) objectIdentity {
	owner := metav1.GetControllerOfNoCopy(p)
	if owner == nil {
		return objectIdentity{kind: schema.GroupKind{Kind: "Pod"}, key: p.Namespace + "/" + p.Name}
	}
	kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
	name := owner.Name
	if kind == (schema.GroupKind{Group: appsv1.GroupName, Kind: "ReplicaSet"}) {
		kind, name = revisionOf(p.Labels, kind, name)
	}
	return objectIdentity{kind: kind, key: p.Namespace + "/" + name}
}

// revisionOf returns who made a ReplicaSet, the ReplicaSet itself when nobody did.
func revisionOf(labels map[string]string, kind schema.GroupKind, name string) (schema.GroupKind, string) {
	for label, owner := range revisionLabels {
		hash := labels[label]
		if base, made := strings.CutSuffix(name, "-"+hash); made && hash != "" {
			return owner, base
		}
	}
	return kind, name
}

// podChanged has the work looked at again whose Pods find no node any more, or do
// again.
func (s *session) podChanged(old, now *pod) {
	s.sightings.follow(old, now)
	if !s.unschedulable.follow(old, now) {
		return
	}
	for _, p := range []*pod{old, now} {
		if p == nil {
			continue
		}
		s.mu.Lock()
		name, known := s.targets[p.owner]
		s.mu.Unlock()
		if known {
			s.enqueue(name)
		}
	}
}
