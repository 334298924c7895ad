// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"fleet.dev/fleet/pkg/rollup"
)

// TestKubectlRolloutStatus asks kubectl itself what it makes of a status.
func TestKubectlRolloutStatus(t *testing.T) {
	const (
		rolling     = "updateStrategy: {type: RollingUpdate}"
		statefulSet = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, generation: 2}, spec: {replicas: 2, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}}}"
		daemonSet   = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds, generation: 2}, spec: {" + rolling + "}}"
		setReady    = "{replicas: 1, readyReplicas: 1, currentReplicas: 1, updatedReplicas: 1, currentRevision: db-1, updateRevision: db-1}"
		nodesReady  = "{currentNumberScheduled: 2, desiredNumberScheduled: 2, numberMisscheduled: 0, numberReady: 2, numberAvailable: 2, updatedNumberScheduled: 2}"
		nodesOld    = "{currentNumberScheduled: 2, desiredNumberScheduled: 2, numberMisscheduled: 0, numberReady: 2, numberAvailable: 2}"
		// An image was changed in a Deployment that was complete before.
		changed = "status: {observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, conditions: [" + availableBefore + ", " + doneBefore + "]}\n"
	)
	ready := member{name: "a", replicas: 1, generation: 2, status: allReady("1")}
	cases := map[string]struct {
		reason   string
		template string
		members  []member
		at       time.Time
		done     bool
		err      string
	}{
		"DeploymentDone": {
			reason:   "every member runs the new template",
			template: deploymentOf("2", "2", changed),
			members:  []member{ready, {name: "b", replicas: 1, generation: 2, status: allReady("1")}},
			done:     true,
		},
		"DeploymentMemberBehind": {
			reason:   "success may not be read from the old template's replicas",
			template: deploymentOf("2", "2", changed),
			members:  []member{ready, {name: "b", replicas: 1, generation: 1, status: allReady("1")}},
		},
		"DeploymentMemberSilent": {
			reason:   "a member that never answered runs nothing",
			template: deploymentOf("2", "2", changed),
			members:  []member{ready, {name: "b", replicas: 1}},
		},
		"DeploymentDeadlineOfTheFleet": {
			reason:   "a member that stays silent ends the wait with an error",
			template: deploymentOf("2", "2", strings.Replace(changed, doneBefore, progressing, 1)),
			members:  []member{ready, {name: "b", replicas: 1, generation: 1, status: allReady("1")}},
			at:       now.Add(time.Hour),
			// kubectl's own words.
			err: "exceeded its progress deadline",
		},
		"DeploymentNoCluster": {
			reason:   "nothing runs while no member fits",
			template: deploymentOf("2", "2", ""),
		},
		"DeploymentScaledToZero": {
			reason:   "nothing is what was asked for",
			template: deploymentOf("2", "0", ""),
			members:  []member{{name: "a", generation: 2, status: "{}"}},
			done:     true,
		},
		"DeploymentDuplicatedOneShort": {
			reason:   "one replica of one copy is missing",
			template: deploymentOf("2", "2", ""),
			members: []member{
				{name: "a", replicas: 2, total: 2, generation: 2, status: allReady("2")},
				{name: "b", replicas: 2, total: 2, generation: 2, status: "{replicas: 2, updatedReplicas: 2, readyReplicas: 1, availableReplicas: 1}"},
			},
		},
		"DeploymentScaleDownUndecided": {
			reason:   "the scheduler has not divided the smaller number",
			template: deploymentOf("2", "1", changed),
			members:  []member{ready, {name: "b", replicas: 1, generation: 2, status: allReady("1")}},
		},
		"StatefulSetDone": {
			reason:   "every member is at its update revision",
			template: statefulSet,
			members:  []member{{name: "a", replicas: 1, generation: 2, status: setReady}, {name: "b", replicas: 1, generation: 2, status: setReady}},
			done:     true,
		},
		"StatefulSetMemberBehind": {
			reason:   "a member that has not seen the new template is not updated",
			template: statefulSet,
			members:  []member{{name: "a", replicas: 1, generation: 2, status: setReady}, {name: "b", replicas: 1, generation: 1, status: setReady}},
		},
		"DaemonSetDone": {
			reason:   "every node of every member is updated",
			template: daemonSet,
			members:  []member{{name: "a", generation: 2, status: nodesReady}, {name: "b", generation: 2, status: nodesReady}},
			done:     true,
		},
		"DaemonSetRolling": {
			reason:   "the nodes of one member are not updated",
			template: daemonSet,
			members:  []member{{name: "a", generation: 2, status: nodesReady}, {name: "b", generation: 2, status: nodesOld}},
		},
		"DaemonSetMemberSilent": {
			reason:   "nobody knows how many nodes a silent member has",
			template: daemonSet,
			members:  []member{{name: "a", generation: 2, status: nodesReady}, {name: "b"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			at := now
			if !tc.at.IsZero() {
				at = tc.at
			}
			template := object(t, tc.template)
			status, _, err := rollup.Status(template, members(t, tc.members...), nil, at)
			if err != nil {
				t.Fatal(err)
			}
			template.Object["status"] = status
			message, done, err := kubectlStatus(t, template)
			switch {
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("%s: kubectl fails with %q, want %q (%s)", tc.reason, err, tc.err, message)
			case tc.err == "" && err != nil:
				t.Errorf("%s: kubectl fails: %v", tc.reason, err)
			case done != tc.done:
				t.Errorf("%s: kubectl is done: %t, want %t (%s)", tc.reason, done, tc.done, message)
			}
		})
	}
}

func kubectlStatus(t *testing.T, template *unstructured.Unstructured) (string, bool, error) {
	t.Helper()
	viewer, err := polymorphichelpers.StatusViewerFor(template.GroupVersionKind().GroupKind())
	if err != nil {
		t.Fatal(err)
	}
	return viewer.Status(template, 0)
}
