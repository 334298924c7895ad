// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/health"
)

func object(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &obj.Object); err != nil {
		t.Fatalf("parse %q: %v", manifest, err)
	}
	return obj
}

const (
	deployment  = "{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 2}, spec: {replicas: 3, progressDeadlineSeconds: 600}, "
	statefulSet = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {generation: 1}, "
	daemonSet   = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {generation: 1}, "
	available   = "conditions: [{type: Available, status: 'True'}]"
)

func TestOf(t *testing.T) {
	type verdict struct {
		Health  health.Health
		Message string
	}
	cases := map[string]struct {
		reason   string
		manifest string
		want     verdict
	}{
		"Deleting": {
			reason:   "an object on its way out does not do its job",
			manifest: "{apiVersion: v1, kind: ConfigMap, metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}}",
			want:     verdict{health.Unhealthy, "being deleted"},
		},
		"NoStatusKind": {
			reason:   "a kind without a status is healthy when it is there",
			manifest: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}",
			want:     verdict{health.Healthy, "exists"},
		},
		"CustomReady": {
			reason:   "a custom resource is judged by its Ready condition",
			manifest: "{apiVersion: example.org/v1, kind: Widget, metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'False', message: no wheels}]}}",
			want:     verdict{health.Unhealthy, "no wheels"},
		},
		"CustomReadyUnknown": {
			reason:   "Ready=Unknown is what it says",
			manifest: "{apiVersion: example.org/v1, kind: Widget, status: {conditions: [{type: Ready, status: Unknown, reason: Checking}]}}",
			want:     verdict{health.Unknown, "Checking"},
		},
		"CustomNotObserved": {
			reason:   "a Ready condition of an older generation says nothing",
			manifest: "{apiVersion: example.org/v1, kind: Widget, metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True'}]}}",
			want:     verdict{health.Unknown, "generation 2 is not observed"},
		},
		"Stalled": {
			reason:   "the Stalled condition decides before Ready",
			manifest: "{apiVersion: example.org/v1, kind: Widget, status: {conditions: [{type: Ready, status: 'True'}, {type: Stalled, status: 'True', reason: Stuck}]}}",
			want:     verdict{health.Unhealthy, "Stuck"},
		},
		"MalformedConditions": {
			reason:   "conditions that are not conditions are ignored, not a panic",
			manifest: "{apiVersion: example.org/v1, kind: Widget, status: {conditions: [1, {type: 3}]}}",
			want:     verdict{health.Healthy, "exists"},
		},
		"MalformedStatus": {
			reason:   "a status that is not an object is ignored, not a panic",
			manifest: "{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, status: 7}",
			want:     verdict{health.Unknown, "not observed by its controller"},
		},
		"DeploymentReady": {
			reason:   "every counter at spec.replicas and Available is healthy",
			manifest: deployment + "status: {observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, " + available + "}}",
			want:     verdict{health.Healthy, "available"},
		},
		"DeploymentZero": {
			reason:   "zero replicas wanted and zero there is healthy",
			manifest: "{apiVersion: apps/v1, kind: Deployment, metadata: {generation: 1}, spec: {replicas: 0}, status: {observedGeneration: 1, " + available + "}}",
			want:     verdict{health.Healthy, "available"},
		},
		"DeploymentNew": {
			reason:   "no status at all is unknown, not unhealthy",
			manifest: deployment + "status: {}}",
			want:     verdict{health.Unknown, "not observed by its controller"},
		},
		"DeploymentRolling": {
			reason:   "replicas of the old revision are not the job asked for",
			manifest: deployment + "status: {observedGeneration: 2, replicas: 4, updatedReplicas: 1, readyReplicas: 3, availableReplicas: 3, " + available + "}}",
			want:     verdict{health.Unhealthy, "fewer than 3 replicas are updated"},
		},
		"DeploymentSurplus": {
			reason:   "surplus replicas still have to go",
			manifest: deployment + "status: {observedGeneration: 2, replicas: 4, updatedReplicas: 3, readyReplicas: 4, availableReplicas: 4, " + available + "}}",
			want:     verdict{health.Unhealthy, "old replicas are pending termination"},
		},
		"DeploymentDeadline": {
			reason:   "an exceeded deadline is the best explanation there is",
			manifest: deployment + "status: {observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: timed out}]}}",
			want:     verdict{health.Unhealthy, "timed out"},
		},
		"ReplicaSetFailure": {
			reason:   "Pods that cannot be created are named by the condition",
			manifest: "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: ReplicaFailure, status: 'True', message: exceeded quota}]}}",
			want:     verdict{health.Unhealthy, "exceeded quota"},
		},
		"StatefulSetReady": {
			reason:   "all ready at one revision",
			manifest: statefulSet + "spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, readyReplicas: 2, updatedReplicas: 2, currentRevision: a, updateRevision: a}}",
			want:     verdict{health.Healthy, "available"},
		},
		"StatefulSetPartition": {
			reason:   "a partition keeps old Pods on purpose",
			manifest: statefulSet + "spec: {replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 1, currentRevision: a, updateRevision: b}}",
			want:     verdict{health.Healthy, "available"},
		},
		"StatefulSetRolling": {
			reason:   "two revisions mean that the update is under way",
			manifest: statefulSet + "spec: {replicas: 2}, status: {observedGeneration: 1, replicas: 2, readyReplicas: 2, updatedReplicas: 2, currentRevision: a, updateRevision: b}}",
			want:     verdict{health.Unhealthy, "the update revision is not the current one yet"},
		},
		"DaemonSetNoNodes": {
			reason:   "no node wants it: nothing is missing",
			manifest: daemonSet + "status: {observedGeneration: 1, desiredNumberScheduled: 0}}",
			want:     verdict{health.Healthy, "available"},
		},
		"DaemonSetShort": {
			reason:   "a node without an available Pod",
			manifest: daemonSet + "status: {observedGeneration: 1, desiredNumberScheduled: 2, currentNumberScheduled: 2, updatedNumberScheduled: 2, numberReady: 2, numberAvailable: 1}}",
			want:     verdict{health.Unhealthy, "fewer than 2 replicas are available"},
		},
		"JobRunning": {
			reason:   "a started Job does its job",
			manifest: "{apiVersion: batch/v1, kind: Job, status: {startTime: '2026-01-01T00:00:00Z', active: 1}}",
			want:     verdict{health.Healthy, "running"},
		},
		"JobSuspended": {
			reason:   "a suspended Job does what it is told",
			manifest: "{apiVersion: batch/v1, kind: Job, spec: {suspend: true}}",
			want:     verdict{health.Healthy, "suspended"},
		},
		"JobFailed": {
			reason:   "a failed Job says why",
			manifest: "{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Failed, status: 'True', message: backoff limit}]}}",
			want:     verdict{health.Unhealthy, "backoff limit"},
		},
		"PodFailed": {
			reason:   "a failed Pod is terminal, not healthy",
			manifest: "{apiVersion: v1, kind: Pod, status: {phase: Failed}}",
			want:     verdict{health.Unhealthy, "failed"},
		},
		"PodUnschedulable": {
			reason:   "the scheduler's own words",
			manifest: "{apiVersion: v1, kind: Pod, status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', message: 0/3 nodes}]}}",
			want:     verdict{health.Unhealthy, "0/3 nodes"},
		},
		"PodReady": {
			reason:   "running and ready",
			manifest: "{apiVersion: v1, kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}",
			want:     verdict{health.Healthy, "ready"},
		},
		"ClaimPending": {
			reason:   "an unbound claim holds its Pods back",
			manifest: "{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Pending}}",
			want:     verdict{health.Unhealthy, "phase is \"Pending\""},
		},
		"LoadBalancerPending": {
			reason:   "nobody can reach a load balancer without an address",
			manifest: "{apiVersion: v1, kind: Service, spec: {type: LoadBalancer}, status: {loadBalancer: {}}}",
			want:     verdict{health.Unhealthy, "the load balancer has no address"},
		},
		"CRDNamesTaken": {
			reason:   "a name conflict never resolves by itself",
			manifest: "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, status: {conditions: [{type: NamesAccepted, status: 'False', message: taken}, {type: Established, status: 'True'}]}}",
			want:     verdict{health.Unhealthy, "taken"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got verdict
			got.Health, got.Message = health.Of(object(t, tc.manifest))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestOfNil(t *testing.T) {
	if got, _ := health.Of(nil); got != health.Unknown {
		t.Errorf("nothing is known about no object: got %s", got)
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte(deployment + "status: {observedGeneration: 2, conditions: [{}]}}"))
	f.Add([]byte("{apiVersion: v1, kind: Service, spec: {type: LoadBalancer}, status: {loadBalancer: 3}}"))
	f.Add([]byte("{apiVersion: v1, kind: Pod, metadata: 1, status: []}"))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		obj := &unstructured.Unstructured{}
		if yaml.Unmarshal(manifest, &obj.Object) != nil || obj.Object == nil {
			t.Skip()
		}
		if got, message := health.Of(obj); got == "" || message == "" {
			t.Errorf("every object gets a verdict and a reason: got %q, %q", got, message)
		}
	})
}
