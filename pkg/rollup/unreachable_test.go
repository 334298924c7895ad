// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup_test

import (
	"strings"
	"testing"
)

// TestUnreachable is about members that nobody hears from.
func TestUnreachable(t *testing.T) {
	const (
		podReady = "{type: Ready, status: 'True', lastTransitionTime: '2026-01-01T11:00:00Z'}"
		podLost  = "{type: Ready, status: 'False', lastTransitionTime: 'TIME'}"
		stuck    = "{apiVersion: v1, kind: Pod, metadata: {name: alone}, status: {phase: Running, qosClass: BestEffort, conditions: [{type: Ready, status: 'False', lastTransitionTime: '2026-01-01T11:59:00Z'}]}}"
		nodes    = "{currentNumberScheduled: 2, desiredNumberScheduled: 2, numberMisscheduled: 0, numberReady: 2, numberAvailable: 2, updatedNumberScheduled: 2}"
		set      = "{replicas: 2, readyReplicas: 2, availableReplicas: 2, currentReplicas: 2, updatedReplicas: 2, currentRevision: db-1, updateRevision: db-1}"
	)
	testStatus(t, map[string]rollupCase{
		"Deployment": {
			reason:   "what ran is there, but nobody knows that it is ready; no rollout has begun",
			template: deploymentOf("1", "6", freshDone),
			members:  []member{{name: "a", replicas: 2, status: allReady("2")}, {name: "b", replicas: 4, status: allReady("4"), lost: true}},
			want:     "{observedGeneration: 1, replicas: 6, updatedReplicas: 6, readyReplicas: 2, availableReplicas: 2, unavailableReplicas: 4, conditions: [" + unavailableNow + ", " + doneBefore + "]}",
		},
		"DeploymentMostlyThere": {
			reason:   "a Deployment is available as long as maxUnavailable allows",
			template: deploymentOf("1", "6", freshDone),
			members:  []member{{name: "a", replicas: 5, status: allReady("5")}, {name: "b", replicas: 1, status: allReady("1"), lost: true}},
			want:     "{observedGeneration: 1, replicas: 6, updatedReplicas: 6, readyReplicas: 5, availableReplicas: 5, unavailableReplicas: 1, conditions: [" + availableBefore + ", " + doneBefore + "]}",
		},
		"DeploymentDuplicated": {
			reason:   "half of all copies are not known to be ready",
			template: deploymentOf("1", "6", freshDone),
			members:  []member{{name: "a", status: allReady("6")}, {name: "b", status: allReady("6"), lost: true}},
			want:     "{observedGeneration: 1, replicas: 6, updatedReplicas: 6, readyReplicas: 3, availableReplicas: 3, unavailableReplicas: 3, conditions: [" + unavailableNow + ", " + doneBefore + "]}",
		},
		"ReplicaSet": {
			reason:   "Pods of a lost member are there, and not ready",
			template: "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: rs, generation: 1}, spec: {replicas: 3}}",
			members: []member{
				{name: "a", replicas: 2, status: "{replicas: 2, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 2}", lost: true},
				{name: "b", replicas: 1, status: "{replicas: 1, fullyLabeledReplicas: 1, readyReplicas: 1, availableReplicas: 1}"},
			},
			want: "{observedGeneration: 1, replicas: 3, fullyLabeledReplicas: 3, readyReplicas: 1, availableReplicas: 1}",
		},
		"StatefulSet": {
			reason:   "revisions are what they were",
			template: "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, generation: 1}, spec: {replicas: 4}}",
			members:  []member{{name: "a", replicas: 2, status: set}, {name: "b", replicas: 2, status: set, lost: true}},
			want:     "{observedGeneration: 1, replicas: 4, readyReplicas: 2, availableReplicas: 2, currentReplicas: 4, updatedReplicas: 4, currentRevision: db-1, updateRevision: db-1}",
		},
		"DaemonSet": {
			reason:   "nodes of a lost member are not to have anything, though they do",
			template: "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds, generation: 1}}",
			members:  []member{{name: "a", status: nodes}, {name: "b", status: nodes, lost: true}},
			want:     "{observedGeneration: 1, currentNumberScheduled: 2, desiredNumberScheduled: 2, numberMisscheduled: 2, numberReady: 2, numberAvailable: 2, updatedNumberScheduled: 2}",
		},
		"Job": {
			reason:   "what ended has ended",
			template: "{apiVersion: batch/v1, kind: Job, metadata: {name: job, generation: 1}, spec: {parallelism: 1, completions: 1}, status: {succeeded: 1, startTime: '2026-01-01T10:00:00Z', conditions: [{type: Complete, status: 'True', lastProbeTime: '2026-01-01T11:00:00Z', lastTransitionTime: '2026-01-01T11:00:00Z'}]}}",
			members:  []member{{name: "a", replicas: 1, status: "{succeeded: 1}", lost: true}},
			want:     "{succeeded: 1, startTime: '2026-01-01T10:00:00Z', conditions: [{type: Complete, status: 'True', lastProbeTime: '2026-01-01T11:00:00Z', lastTransitionTime: '2026-01-01T11:00:00Z'}]}",
		},
		"Pod": {
			reason:   "a Pod is not ready since the member was lost",
			template: "{apiVersion: v1, kind: Pod, metadata: {name: alone}, status: {phase: Running, qosClass: BestEffort}}",
			members:  []member{{name: "a", status: "{phase: Running, conditions: [{type: PodScheduled, status: 'True'}, " + podReady + "]}", lost: true}},
			want:     "{phase: Running, qosClass: BestEffort, conditions: [{type: PodScheduled, status: 'True'}, " + podLostAt("2026-01-01T12:00:00Z", podLost) + "]}",
		},
		"PodStill": {
			reason:   "the time stays while it does",
			template: stuck,
			members:  []member{{name: "a", status: "{phase: Running, conditions: [" + podReady + "]}", lost: true}},
			want:     "{phase: Running, qosClass: BestEffort, conditions: [" + podLostAt("2026-01-01T11:59:00Z", podLost) + "]}",
		},
		"PodFound": {
			reason:   "a member that is heard from again has the last word",
			template: stuck,
			members:  []member{{name: "a", status: "{phase: Running, conditions: [" + podReady + "]}"}},
			want:     "{phase: Running, qosClass: BestEffort, conditions: [" + podReady + "]}",
		},
	})
}

func podLostAt(time, condition string) string { return strings.ReplaceAll(condition, "TIME", time) }
