// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"encoding/json"
	"strconv"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// countedAfter is how long a work is waited for whose Pods do not get nodes, or
// cannot be told.
const countedAfter = 10 * time.Second

// sightings tell up to which resourceVersion the Pods of works have nodes, so that
// they are in the member's numbers.
type sightings struct {
	mu      sync.Mutex
	recent  []sighting // in the order they were seen
	counted uint64
	// nodes is how many Pods have one, by what they belong to.
	nodes map[objectIdentity]int32
}

// sighting is a work of a version.
type sighting struct {
	version uint64
	at      time.Time
	object  objectIdentity
	pods    int32 // it makes, unknownPods when that cannot be told
}

const unknownPods = -1

func newSightings() *sightings { return &sightings{nodes: map[objectIdentity]int32{}} }

// see notes a work that came with a version.
func (s *sightings) see(work *workv1alpha1.Work, version string, now time.Time) {
	parsed, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked(now)
	s.recent = append(s.recent, sighting{version: parsed, at: now, object: targetOf(work).identity(), pods: podsOf(work)})
}

// follow learns of a changed Pod, nil standing for none.
func (s *sightings) follow(old, now *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old != nil && old.node != "" {
		if s.nodes[old.owner]--; s.nodes[old.owner] == 0 {
			delete(s.nodes, old.owner)
		}
	}
	if now != nil && now.node != "" {
		s.nodes[now.owner]++
	}
}

// version is the highest up to which all Pods are counted, empty when there is
// none.
func (s *sightings) version(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countLocked(now)
	version := s.counted
	for _, waits := range s.recent {
		// A first list is in no order.
		version = min(version, waits.version-1)
	}
	if version == 0 {
		return ""
	}
	return strconv.FormatUint(version, 10)
}

func (s *sightings) countLocked(now time.Time) {
	n := 0
	for n < len(s.recent) && s.countsLocked(s.recent[n], now) {
		s.counted = max(s.counted, s.recent[n].version)
		n++
	}
	if n > 0 {
		s.recent = append([]sighting(nil), s.recent[n:]...)
	}
}

func (s *sightings) countsLocked(seen sighting, now time.Time) bool {
	return seen.pods != unknownPods && s.nodes[seen.object] >= seen.pods || now.Sub(seen.at) >= countedAfter
}

// kindsWithPods are the kinds whose objects make Pods.
var kindsWithPods = map[schema.GroupKind]bool{
	{Kind: "Pod"}: true, {Kind: "ReplicationController"}: true,
	{Group: appsv1.GroupName, Kind: "Deployment"}: true, {Group: appsv1.GroupName, Kind: "ReplicaSet"}: true,
	{Group: appsv1.GroupName, Kind: "StatefulSet"}: true, {Group: appsv1.GroupName, Kind: "DaemonSet"}: true,
	{Group: batchv1.GroupName, Kind: "Job"}: true, {Group: batchv1.GroupName, Kind: "CronJob"}: true,
}

// podsOf is how many Pods a work makes in the member.
func podsOf(work *workv1alpha1.Work) int32 {
	kind := targetOf(work).kind.GroupKind()
	switch {
	case work.Spec.Deleted || isNative(kind) && !kindsWithPods[kind]:
		return 0
	case kind == schema.GroupKind{Kind: "Pod"}:
		return 1
	case !isNative(kind) || kind.Kind == "DaemonSet" || kind.Kind == "CronJob":
		return unknownPods
	}
	return replicasOf(work)
}

// isNative reports whether a kind is of a group whose kinds are known.
func isNative(kind schema.GroupKind) bool {
	return kind.Group == corev1.GroupName || kind.Group == appsv1.GroupName || kind.Group == batchv1.GroupName
}

// replicasOf is how many Pods the spec of a work asks for at a time.
func replicasOf(work *workv1alpha1.Work) int32 {
	var object struct {
		Spec struct {
			Replicas    *int32 `json:"replicas"`
			Parallelism *int32 `json:"parallelism"`
		} `json:"spec"`
	}
	if len(work.Spec.Workload.Manifests) == 0 || json.Unmarshal(work.Spec.Workload.Manifests[0].Raw, &object) != nil {
		return unknownPods
	}
	if targetOf(work).kind.Kind == "Job" {
		return ptr.Deref(object.Spec.Parallelism, 1)
	}
	return ptr.Deref(object.Spec.Replicas, 1)
}
