// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
)

type (
	statefulSetInput  = input[appsv1.StatefulSet, appsv1.StatefulSetStatus]
	statefulSetMember = reported[appsv1.StatefulSetStatus]
)

// statefulSet sums counters. The revisions are those of the members; they are
// equal exactly when each member's are, which is when its own update is complete.
func statefulSet(in statefulSetInput) appsv1.StatefulSetStatus {
	replicas := ptr.Deref(in.template.Spec.Replicas, 1)
	n := copiesOf(replicas, in.members)
	old := in.template.Status
	status := appsv1.StatefulSetStatus{
		ObservedGeneration: in.observed(replicas),
		Replicas:           n.up(sum(in.members, func(s appsv1.StatefulSetStatus) int32 { return s.Replicas })),
		ReadyReplicas:      n.down(sum(in.members, func(s appsv1.StatefulSetStatus) int32 { return s.ReadyReplicas }, heard)),
		CurrentReplicas:    n.down(sum(in.members, func(s appsv1.StatefulSetStatus) int32 { return s.CurrentReplicas })),
		UpdatedReplicas:    n.down(sum(in.members, func(s appsv1.StatefulSetStatus) int32 { return s.UpdatedReplicas }, current)),
		AvailableReplicas:  n.down(sum(in.members, func(s appsv1.StatefulSetStatus) int32 { return s.AvailableReplicas }, heard)),
		CurrentRevision:    old.CurrentRevision,
		UpdateRevision:     old.UpdateRevision,
		CollisionCount:     old.CollisionCount,
	}
	if status.CollisionCount == nil && slices.ContainsFunc(in.members, func(m statefulSetMember) bool { return m.status.CollisionCount != nil }) {
		status.CollisionCount = new(int32) // as upstream has it once it looked; names that collide are the members' matter
	}
	status.ReadyReplicas = min(status.ReadyReplicas, status.Replicas)
	status.CurrentReplicas = min(status.CurrentReplicas, status.Replicas)
	status.UpdatedReplicas = min(status.UpdatedReplicas, status.Replicas)
	status.AvailableReplicas = min(status.AvailableReplicas, status.ReadyReplicas)
	name := in.template.Name
	if revision := commonRevision(name, in.members, func(s appsv1.StatefulSetStatus) string { return s.CurrentRevision }); revision != "" {
		status.CurrentRevision = revision
	}
	if revision := commonRevision(name, in.members, func(s appsv1.StatefulSetStatus) string { return s.UpdateRevision }); revision != "" {
		status.UpdateRevision = revision
	}
	return status
}

// commonRevision returns the revision that all members name, so that it selects
// their Pods; where they differ (members of different versions name one Pod
// template differently) it is a name made of all of them. It is empty when no
// member names any.
func commonRevision(name string, members []statefulSetMember, of func(appsv1.StatefulSetStatus) string) string {
	var revisions []string
	for _, member := range members {
		if revision := of(member.status); revision != "" {
			revisions = append(revisions, revision)
		}
	}
	slices.Sort(revisions)
	revisions = slices.Compact(revisions)
	if len(revisions) < 2 {
		return strings.Join(revisions, "")
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(strings.Join(revisions, "/"))) // a hash never fails
	return name + "-" + rand.SafeEncodeString(fmt.Sprint(hash.Sum32()))
}
