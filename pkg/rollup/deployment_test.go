// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup_test

import (
	"strings"
	"testing"
	"time"

	"fleet.dev/fleet/pkg/rollup"
)

const (
	deploymentMeta = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, generation: GEN}\n"
	deploymentSpec = "spec: {replicas: REPLICAS, progressDeadlineSeconds: 600, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}}}\n"
	// freshDone is the status of a complete Deployment at generation 1, written
	// before the test.
	freshDone = "status: {observedGeneration: 1, replicas: 6, updatedReplicas: 6, readyReplicas: 6, availableReplicas: 6, conditions: [" + availableBefore + ", " + doneBefore + "]}\n"

	availableNow    = "{type: Available, status: 'True', reason: MinimumReplicasAvailable, message: Deployment has minimum availability., lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}"
	availableBefore = "{type: Available, status: 'True', reason: MinimumReplicasAvailable, message: Deployment has minimum availability., lastUpdateTime: '2026-01-01T11:59:00Z', lastTransitionTime: '2026-01-01T11:59:00Z'}"
	unavailableNow  = "{type: Available, status: 'False', reason: MinimumReplicasUnavailable, message: Deployment does not have minimum availability., lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}"
	doneNow         = "{type: Progressing, status: 'True', reason: NewReplicaSetAvailable, message: 'Deployment \"web\" has successfully progressed.', lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}"
	doneBefore      = "{type: Progressing, status: 'True', reason: NewReplicaSetAvailable, message: 'Deployment \"web\" has successfully progressed.', lastUpdateTime: '2026-01-01T11:59:00Z', lastTransitionTime: '2026-01-01T11:59:00Z'}"
	progressingNow  = "{type: Progressing, status: 'True', reason: ReplicaSetUpdated, message: 'Deployment \"web\" is progressing.', lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}"
	progressing     = "{type: Progressing, status: 'True', reason: ReplicaSetUpdated, message: 'Deployment \"web\" is progressing.', lastUpdateTime: '2026-01-01T11:59:00Z', lastTransitionTime: '2026-01-01T11:59:00Z'}"
)

func deploymentOf(generation, replicas, rest string) string {
	return strings.NewReplacer("GEN", generation, "REPLICAS", replicas).Replace(deploymentMeta+deploymentSpec) + rest
}

// allReady is what a member's Deployment says when n replicas run and none is old.
func allReady(n string) string {
	return "{observedGeneration: 4, replicas: " + n + ", updatedReplicas: " + n + ", readyReplicas: " + n + ", availableReplicas: " + n +
		", conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}"
}

// progressedAs is what a member's Deployment says when its one replica runs, in a
// ReplicaSet of that name.
func progressedAs(name string) string {
	return "{replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Progressing, status: 'True', reason: NewReplicaSetAvailable, message: 'ReplicaSet \"" + name + "\" has successfully progressed.'}]}"
}

func TestDeployment(t *testing.T) {
	testStatus(t, map[string]rollupCase{
		"Complete": {
			reason:   "a divided Deployment is complete when every member is",
			template: deploymentOf("1", "6", ""),
			members:  []member{{name: "b", replicas: 2, status: allReady("2")}, {name: "a", replicas: 4, status: allReady("4")}},
			want:     "{observedGeneration: 1, replicas: 6, updatedReplicas: 6, readyReplicas: 6, availableReplicas: 6, conditions: [" + availableNow + ", " + doneNow + "]}",
		},
		"MembersSayTheSame": {
			reason:   "what all members say of progress names the ReplicaSet, as in a cluster",
			template: deploymentOf("1", "2", ""),
			members:  []member{{name: "a", replicas: 1, status: progressedAs("web-1")}, {name: "b", replicas: 1, status: progressedAs("web-1")}},
			want:     "{observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, conditions: [" + availableNow + ", " + strings.Replace(doneNow, `Deployment "web"`, `ReplicaSet "web-1"`, 1) + "]}",
		},
		"MembersSayOtherThings": {
			reason:   "ReplicaSets of other names in other members are none of the fleet's",
			template: deploymentOf("1", "2", ""),
			members:  []member{{name: "a", replicas: 1, status: progressedAs("web-1")}, {name: "b", replicas: 1, status: progressedAs("web-2")}},
			want:     "{observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, conditions: [" + availableNow + ", " + doneNow + "]}",
		},
		"NoChangeKeepsTimes": {
			reason:   "what did not change keeps its times",
			template: deploymentOf("1", "6", freshDone),
			members:  []member{{name: "a", replicas: 6, status: allReady("6")}},
			want:     "{observedGeneration: 1, replicas: 6, updatedReplicas: 6, readyReplicas: 6, availableReplicas: 6, conditions: [" + availableBefore + ", " + doneBefore + "]}",
		},
		"NoMembersYet": {
			reason:   "no member could be found: nothing runs, and the deadline counts",
			template: deploymentOf("1", "6", ""),
			want:     "{observedGeneration: 1, unavailableReplicas: 6, conditions: [" + unavailableNow + ", " + progressingNow + "]}",
		},
		"OneMemberSilent": {
			reason:   "a member that has not answered holds observedGeneration back",
			template: deploymentOf("1", "6", ""),
			members:  []member{{name: "a", replicas: 4, status: allReady("4")}, {name: "b", replicas: 2}},
			want:     "{replicas: 4, updatedReplicas: 4, readyReplicas: 4, availableReplicas: 4, unavailableReplicas: 2, conditions: [" + unavailableNow + ", " + progressingNow + "]}",
		},
		"OneMemberBehind": {
			reason:   "replicas of a member that has not seen the new template are not updated ones",
			template: deploymentOf("2", "6", freshDone),
			members:  []member{{name: "a", replicas: 4, generation: 2, status: allReady("4")}, {name: "b", replicas: 2, generation: 1, status: allReady("2")}},
			want: "{observedGeneration: 1, replicas: 6, updatedReplicas: 4, readyReplicas: 6, availableReplicas: 6, conditions: [" + availableBefore + ", " +
				strings.Replace(progressingNow, "lastTransitionTime: '2026-01-01T12:00:00Z'", "lastTransitionTime: '2026-01-01T11:59:00Z'", 1) + "]}",
		},
		"Rolling": {
			reason:   "a rollout in the members is a rollout of the fleet, available within maxUnavailable",
			template: deploymentOf("2", "6", freshDone),
			members: []member{
				{name: "a", replicas: 3, generation: 2, status: "{replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3, unavailableReplicas: 1, conditions: [{type: Progressing, status: 'True', reason: ReplicaSetUpdated}]}"},
				{name: "b", replicas: 3, generation: 2, status: "{replicas: 4, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, unavailableReplicas: 2, conditions: [{type: Progressing, status: 'True', reason: ReplicaSetUpdated}]}"},
			},
			want: "{observedGeneration: 2, replicas: 8, updatedReplicas: 3, readyReplicas: 5, availableReplicas: 5, unavailableReplicas: 3, conditions: [" + availableBefore + ", " +
				strings.Replace(progressingNow, "lastTransitionTime: '2026-01-01T12:00:00Z'", "lastTransitionTime: '2026-01-01T11:59:00Z'", 1) + "]}",
		},
		"ScaleKeepsProgressing": {
			reason:   "a change of scale is no rollout, as upstream",
			template: deploymentOf("2", "8", freshDone),
			members:  []member{{name: "a", replicas: 8, generation: 2, status: "{replicas: 8, updatedReplicas: 8, readyReplicas: 6, availableReplicas: 6, unavailableReplicas: 2, conditions: [{type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}"}},
			want:     "{observedGeneration: 2, replicas: 8, updatedReplicas: 8, readyReplicas: 6, availableReplicas: 6, unavailableReplicas: 2, conditions: [" + availableBefore + ", " + doneBefore + "]}",
		},
		"ScaleDownNotDecided": {
			reason:   "while the scheduler has not divided the smaller number, no waiter may read success",
			template: deploymentOf("2", "4", freshDone),
			members:  []member{{name: "a", replicas: 3, generation: 2, status: allReady("3")}, {name: "b", replicas: 3, generation: 2, status: allReady("3")}},
			want:     "{observedGeneration: 1, replicas: 6, updatedReplicas: 6, readyReplicas: 6, availableReplicas: 6, conditions: [" + availableBefore + ", " + doneBefore + "]}",
		},
		"Duplicated": {
			reason:   "nine of nine are three of three",
			template: deploymentOf("1", "3", ""),
			members:  []member{{name: "a", replicas: 3, total: 3, status: allReady("3")}, {name: "b", replicas: 3, total: 3, status: allReady("3")}, {name: "c", replicas: 3, total: 3, status: allReady("3")}},
			want:     "{observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [" + availableNow + ", " + doneNow + "]}",
		},
		"DuplicatedWithoutShares": {
			reason:   "a duplicated template is also one whose members have no share of their own",
			template: deploymentOf("1", "3", ""),
			members:  []member{{name: "a", total: 3, status: allReady("3")}, {name: "b", total: 3, status: allReady("3")}},
			want:     "{observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [" + availableNow + ", " + doneNow + "]}",
		},
		"ShareOfZero": {
			reason:   "a member with no share of a divided number is no copy",
			template: deploymentOf("1", "3", ""),
			members:  []member{{name: "a", replicas: 3, status: allReady("3")}, {name: "b", status: "{}"}},
			want:     "{observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [" + availableNow + ", " + doneNow + "]}",
		},
		"DuplicatedOneShort": {
			reason:   "eight of nine are two of three, never three",
			template: deploymentOf("1", "3", ""),
			members:  []member{{name: "a", replicas: 3, total: 3, status: allReady("3")}, {name: "b", replicas: 3, total: 3, status: allReady("3")}, {name: "c", replicas: 3, total: 3, status: "{replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2, unavailableReplicas: 1}"}},
			want:     "{observedGeneration: 1, replicas: 3, updatedReplicas: 3, readyReplicas: 2, availableReplicas: 2, unavailableReplicas: 1, conditions: [" + unavailableNow + ", " + progressingNow + "]}",
		},
		"DuplicatedSurplus": {
			reason:   "one surplus replica of nine is seen",
			template: deploymentOf("1", "3", ""),
			members:  []member{{name: "a", replicas: 3, total: 3, status: allReady("3")}, {name: "b", replicas: 3, total: 3, status: allReady("3")}, {name: "c", replicas: 3, total: 3, status: "{replicas: 4, updatedReplicas: 3, readyReplicas: 4, availableReplicas: 4}"}},
			want:     "{observedGeneration: 1, replicas: 4, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, conditions: [" + availableNow + ", " + progressingNow + "]}",
		},
		"Zero": {
			reason:   "nothing wanted and nothing there is complete",
			template: deploymentOf("1", "0", ""),
			members:  []member{{name: "a", status: "{observedGeneration: 1}"}},
			want:     "{observedGeneration: 1, conditions: [" + availableNow + ", " + doneNow + "]}",
		},
		"Terminating": {
			reason:   "terminating replicas are summed where members count them",
			template: deploymentOf("1", "0", ""),
			members:  []member{{name: "a", status: "{terminatingReplicas: 2}"}, {name: "b", status: "{}"}},
			want:     "{observedGeneration: 1, terminatingReplicas: 2, conditions: [" + availableNow + ", " + doneNow + "]}",
		},
		"Refused": {
			reason:   "a member that refuses the Deployment is named",
			template: deploymentOf("1", "6", ""),
			members:  []member{{name: "a", replicas: 4, status: allReady("4")}, {name: "b", replicas: 2, refused: "denied by policy"}},
			want: "{replicas: 4, updatedReplicas: 4, readyReplicas: 4, availableReplicas: 4, unavailableReplicas: 2, conditions: [" + unavailableNow + ", " + progressingNow +
				", {type: ReplicaFailure, status: 'True', reason: Invalid, message: 'member \"b\": denied by policy', lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}]}",
		},
		"ReplicaFailure": {
			reason:   "a member that cannot create Pods is named",
			template: deploymentOf("1", "2", ""),
			members:  []member{{name: "a", replicas: 2, status: "{conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: exceeded quota}]}"}},
			want: "{observedGeneration: 1, unavailableReplicas: 2, conditions: [" + unavailableNow + ", " + progressingNow +
				", {type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'member \"a\": exceeded quota', lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}]}",
		},
		"Paused": {
			reason:   "a paused Deployment makes no progress on purpose",
			template: deploymentMeta1 + "spec: {replicas: 1, paused: true, progressDeadlineSeconds: 600}\n",
			members:  []member{{name: "a", replicas: 1, status: "{replicas: 1, updatedReplicas: 0, readyReplicas: 1, availableReplicas: 1}"}},
			want: "{observedGeneration: 1, replicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [" + availableNow +
				", {type: Progressing, status: Unknown, reason: DeploymentPaused, message: Deployment is paused, lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}]}",
		},
		"NoDeadline": {
			reason:   "without a deadline there is no Progressing condition, as upstream",
			template: deploymentMeta1 + "spec: {replicas: 1}\n",
			members:  []member{{name: "a", replicas: 1, status: allReady("1")}},
			want:     "{observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [" + availableNow + "]}",
		},
		"MemberDeadline": {
			reason:   "a member whose rollout timed out decides",
			template: deploymentOf("1", "2", ""),
			members:  []member{{name: "a", replicas: 1, status: allReady("1")}, {name: "b", replicas: 1, status: "{replicas: 1, updatedReplicas: 1, unavailableReplicas: 1, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: timed out}]}"}},
			want: "{observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 1, availableReplicas: 1, unavailableReplicas: 1, conditions: [" + unavailableNow +
				", {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: 'member \"b\": timed out', lastUpdateTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'}]}",
		},
		"FleetDeadline": {
			reason:   "a member that stays silent past the deadline is a failure every waiter comes to read",
			template: deploymentOf("2", "6", "status: {observedGeneration: 1, replicas: 6, updatedReplicas: 4, readyReplicas: 6, availableReplicas: 6, conditions: ["+availableBefore+", "+progressing+"]}\n"),
			members:  []member{{name: "a", replicas: 4, generation: 2, status: allReady("4")}, {name: "b", replicas: 2, generation: 1, status: allReady("2")}},
			at:       before.Add(11 * time.Minute),
			want: "{observedGeneration: 2, replicas: 6, updatedReplicas: 4, readyReplicas: 6, availableReplicas: 6, conditions: [" + availableBefore +
				", {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: 'Deployment \"web\" has timed out progressing.', lastUpdateTime: '2026-01-01T12:10:00Z', lastTransitionTime: '2026-01-01T12:10:00Z'}]}",
		},
		"FixAfterDeadline": {
			reason:   "a new generation starts the clock again",
			template: deploymentOf("3", "2", "status: {observedGeneration: 2, replicas: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, lastUpdateTime: '2026-01-01T11:59:00Z', lastTransitionTime: '2026-01-01T11:59:00Z'}]}\n"),
			members:  []member{{name: "a", replicas: 2, generation: 2, status: "{replicas: 2, updatedReplicas: 2, unavailableReplicas: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: timed out}]}"}},
			want:     "{observedGeneration: 2, replicas: 2, unavailableReplicas: 2, conditions: [" + unavailableNow + ", " + progressingNow + "]}",
		},
	})
}

const deploymentMeta1 = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, generation: 1}\n"

func TestRecheckAfter(t *testing.T) {
	template := object(t, deploymentOf("1", "6", ""))
	status, _, err := rollup.Status(template, nil, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	if after, ok := rollup.RecheckAfter(template, status, now.Add(4*time.Minute)); !ok || after != 6*time.Minute+time.Second {
		t.Errorf("a rollout is looked at again when its deadline passed: got %v, %t", after, ok)
	}
	template.Object["status"] = status
	late, changed, err := rollup.Status(template, nil, nil, now.Add(10*time.Minute+time.Second))
	if err != nil || !changed {
		t.Fatalf("the deadline passed: got changed %t, error %v", changed, err)
	}
	if after, ok := rollup.RecheckAfter(template, late, now); ok {
		t.Errorf("a rollout that failed needs no further look: got %v", after)
	}
	if after, ok := rollup.RecheckAfter(object(t, "{apiVersion: v1, kind: ConfigMap}"), nil, now); ok {
		t.Errorf("only Deployments have a deadline: got %v", after)
	}
}
