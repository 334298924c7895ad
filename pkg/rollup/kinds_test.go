// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/rollup"
)

func TestReplicaSet(t *testing.T) {
	meta := "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: rs, generation: 1}, spec: {replicas: 3}"
	testStatus(t, map[string]rollupCase{
		"Divided": {
			reason:   "counters are sums",
			template: meta + "}",
			members: []member{
				{name: "a", replicas: 2, status: "{replicas: 2, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 1}"},
				{name: "b", replicas: 1, status: "{replicas: 1, fullyLabeledReplicas: 1, terminatingReplicas: 1}"},
			},
			want: "{observedGeneration: 1, replicas: 3, fullyLabeledReplicas: 3, readyReplicas: 2, availableReplicas: 1, terminatingReplicas: 1}",
		},
		"FailureKeepsTime": {
			reason:   "a failure that goes on keeps the time it began",
			template: meta + ", status: {replicas: 0, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: old, lastTransitionTime: '2026-01-01T11:59:00Z'}]}}",
			members:  []member{{name: "a", replicas: 3, status: "{replicas: 0, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: quota}]}"}},
			want:     "{observedGeneration: 1, replicas: 0, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'member \"a\": quota', lastTransitionTime: '2026-01-01T11:59:00Z'}]}",
		},
	})
}

func TestReplicationController(t *testing.T) {
	meta := "{apiVersion: v1, kind: ReplicationController, metadata: {name: rc, generation: 2}, spec: {replicas: 2, selector: {matchLabels: old}}"
	one := "{observedGeneration: 1, replicas: 1, fullyLabeledReplicas: 1, readyReplicas: 1, availableReplicas: 1}"
	testStatus(t, map[string]rollupCase{
		"Divided": {
			reason:   "counters are sums, also when members say the same",
			template: meta + ", status: {observedGeneration: 1, replicas: 1, fullyLabeledReplicas: 1, readyReplicas: 1, availableReplicas: 1}}",
			members:  []member{{name: "a", replicas: 1, total: 2, generation: 2, status: one}, {name: "b", replicas: 1, total: 2, generation: 2, status: one}},
			want:     "{observedGeneration: 2, replicas: 2, fullyLabeledReplicas: 2, readyReplicas: 2, availableReplicas: 2}",
		},
		"Failure": {
			reason:   "what one member cannot make is said",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 2, total: 2, generation: 2, status: "{replicas: 0, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: quota}]}"}},
			want:     "{observedGeneration: 2, replicas: 0, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: 'member \"a\": quota', lastTransitionTime: '2026-01-01T12:00:00Z'}]}",
		},
	})
}

func TestStatefulSet(t *testing.T) {
	meta := "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, generation: 2}, spec: {replicas: 3}"
	testStatus(t, map[string]rollupCase{
		"SingleComplete": {
			reason:   "one member's revisions are the fleet's, so that they select its Pods",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 3, generation: 2, status: "{observedGeneration: 7, replicas: 3, readyReplicas: 3, availableReplicas: 3, currentReplicas: 3, updatedReplicas: 3, currentRevision: db-1, updateRevision: db-1, collisionCount: 4}"}},
			want:     "{observedGeneration: 2, replicas: 3, readyReplicas: 3, availableReplicas: 3, currentReplicas: 3, updatedReplicas: 3, currentRevision: db-1, updateRevision: db-1, collisionCount: 0}",
		},
		"Rolling": {
			reason:   "an update under way has two revisions",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 3, generation: 2, status: "{replicas: 3, readyReplicas: 2, availableReplicas: 2, currentReplicas: 2, updatedReplicas: 1, currentRevision: db-1, updateRevision: db-2}"}},
			want:     "{observedGeneration: 2, replicas: 3, readyReplicas: 2, availableReplicas: 2, currentReplicas: 2, updatedReplicas: 1, currentRevision: db-1, updateRevision: db-2}",
		},
		"DuplicatedComplete": {
			reason:   "members that name one Pod template differently are complete all the same",
			template: meta + "}",
			members: []member{
				{name: "a", replicas: 3, total: 3, generation: 2, status: "{replicas: 3, readyReplicas: 3, availableReplicas: 3, currentReplicas: 3, updatedReplicas: 3, currentRevision: db-1, updateRevision: db-1}"},
				{name: "b", replicas: 3, total: 3, generation: 2, status: "{replicas: 3, readyReplicas: 3, availableReplicas: 3, currentReplicas: 3, updatedReplicas: 3, currentRevision: db-2, updateRevision: db-2}"},
			},
			want: "{observedGeneration: 2, replicas: 3, readyReplicas: 3, availableReplicas: 3, currentReplicas: 3, updatedReplicas: 3, currentRevision: db-654d98467, updateRevision: db-654d98467}",
		},
		"SilentMemberKeepsRevisions": {
			reason:   "revisions do not vanish while no member reports",
			template: meta + ", status: {observedGeneration: 1, replicas: 3, availableReplicas: 3, currentRevision: db-1, updateRevision: db-1, collisionCount: 0}}",
			members:  []member{{name: "a", replicas: 3}},
			want:     "{observedGeneration: 1, replicas: 0, availableReplicas: 0, currentRevision: db-1, updateRevision: db-1, collisionCount: 0}",
		},
	})
}

func TestDaemonSet(t *testing.T) {
	testStatus(t, map[string]rollupCase{
		"TwoMembers": {
			reason:   "the nodes of the fleet are those of all members",
			template: "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds, generation: 1}}",
			members: []member{
				{name: "a", status: "{currentNumberScheduled: 2, desiredNumberScheduled: 3, numberMisscheduled: 1, numberReady: 2, numberAvailable: 2, numberUnavailable: 1, updatedNumberScheduled: 2}"},
				{name: "b", status: "{currentNumberScheduled: 4, desiredNumberScheduled: 4, numberMisscheduled: 0, numberReady: 4, numberAvailable: 4, updatedNumberScheduled: 4}"},
			},
			want: "{observedGeneration: 1, currentNumberScheduled: 6, desiredNumberScheduled: 7, numberMisscheduled: 1, numberReady: 6, numberAvailable: 6, numberUnavailable: 1, updatedNumberScheduled: 6}",
		},
		"OneBehind": {
			reason:   "a member that has not seen the new template has updated no node",
			template: "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ds, generation: 2}, status: {observedGeneration: 1, currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0}}",
			members:  []member{{name: "a", generation: 1, status: "{currentNumberScheduled: 2, desiredNumberScheduled: 2, numberMisscheduled: 0, numberReady: 2, numberAvailable: 2, updatedNumberScheduled: 2}"}},
			want:     "{observedGeneration: 1, currentNumberScheduled: 2, desiredNumberScheduled: 2, numberMisscheduled: 0, numberReady: 2, numberAvailable: 2}",
		},
	})
}

func TestJob(t *testing.T) {
	meta := "{apiVersion: batch/v1, kind: Job, metadata: {name: job, generation: 1}, spec: {parallelism: 2, completions: 4}"
	const (
		at       = "lastProbeTime: '2026-01-01T12:00:00Z', lastTransitionTime: '2026-01-01T12:00:00Z'"
		finished = "startTime: '2026-01-01T10:00:00Z', completionTime: '2026-01-01T11:00:00Z', succeeded: 4, ready: 0, terminating: 0"
		complete = "conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]"
		failed   = "{startTime: '2026-01-01T10:00:00Z', failed: 7, conditions: [{type: FailureTarget, status: 'True', reason: BackoffLimitExceeded, message: too often}, {type: Failed, status: 'True', reason: BackoffLimitExceeded, message: too often}]}"
		met      = "{type: SuccessCriteriaMet, status: 'True', reason: CompletionsReached, message: Reached expected number of succeeded pods, " + at + "}"
		target   = "{type: FailureTarget, status: 'True', reason: BackoffLimitExceeded, message: 'member \"b\": too often', " + at + "}"
	)
	testStatus(t, map[string]rollupCase{
		"Running": {
			reason:   "a Job that runs",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 2, status: "{startTime: '2026-01-01T10:00:00Z', active: 2, ready: 1, succeeded: 1, uncountedTerminatedPods: {succeeded: [x]}}"}},
			want:     "{startTime: '2026-01-01T10:00:00Z', active: 2, ready: 1, succeeded: 1, uncountedTerminatedPods: {}}",
		},
		"Complete": {
			reason:   "a complete Job has all that upstream's validation demands",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 2, status: "{" + finished + ", " + complete + "}"}},
			want: "{startTime: '2026-01-01T10:00:00Z', completionTime: '2026-01-01T11:00:00Z', succeeded: 4, ready: 0, terminating: 0, uncountedTerminatedPods: {}, conditions: [" + met +
				", {type: Complete, status: 'True', reason: CompletionsReached, message: Reached expected number of succeeded pods, " + at + "}]}",
		},
		"OneOfTwoComplete": {
			reason:   "a divided Job is complete when all of it is; counters of two halves are sums",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 1, status: "{" + finished + ", " + complete + "}"}, {name: "b", replicas: 1, status: "{startTime: '2026-01-01T10:00:00Z', active: 1, succeeded: 1}"}},
			want:     "{startTime: '2026-01-01T10:00:00Z', active: 1, ready: 0, terminating: 0, succeeded: 5, uncountedTerminatedPods: {}}",
		},
		"DuplicatedHalf": {
			reason:   "a duplicated Job counts what every copy reached",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 2, total: 2, status: "{" + finished + ", " + complete + "}"}, {name: "b", replicas: 2, total: 2, status: "{startTime: '2026-01-01T10:00:00Z', active: 2, succeeded: 1, failed: 3}"}},
			want:     "{startTime: '2026-01-01T10:00:00Z', active: 1, ready: 0, terminating: 0, succeeded: 2, failed: 3, uncountedTerminatedPods: {}}",
		},
		"FailingWhileOneRuns": {
			reason:   "a failure is announced at once, but declared only when nothing runs",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 1, status: "{startTime: '2026-01-01T09:00:00Z', active: 1}"}, {name: "b", replicas: 1, status: failed}},
			want:     "{startTime: '2026-01-01T09:00:00Z', active: 1, failed: 7, uncountedTerminatedPods: {}, conditions: [" + target + "]}",
		},
		"Failed": {
			reason:   "the member that failed is named",
			template: meta + "}",
			members:  []member{{name: "b", replicas: 2, status: failed}},
			want: "{startTime: '2026-01-01T10:00:00Z', failed: 7, uncountedTerminatedPods: {}, conditions: [" + target +
				", {type: Failed, status: 'True', reason: BackoffLimitExceeded, message: 'member \"b\": too often', " + at + "}]}",
		},
		"Suspended": {
			reason:   "a suspended Job says so",
			template: meta + "}",
			members:  []member{{name: "a", replicas: 2, status: "{conditions: [{type: Suspended, status: 'True'}]}"}},
			want:     "{uncountedTerminatedPods: {}, conditions: [{type: Suspended, status: 'True', reason: JobSuspended, message: Job suspended, " + at + "}]}",
		},
		"Resumed": {
			reason:   "a resumed Job says that too",
			template: meta + ", status: {conditions: [{type: Suspended, status: 'True'}]}}",
			members:  []member{{name: "a", replicas: 2, status: "{startTime: '2026-01-01T10:00:00Z', active: 2}"}},
			want:     "{startTime: '2026-01-01T10:00:00Z', active: 2, uncountedTerminatedPods: {}, conditions: [{type: Suspended, status: 'False', reason: JobResumed, message: Job resumed, " + at + "}]}",
		},
		"CountersNeverFall": {
			reason:   "a Job that starts again in another member keeps what was counted and when it started",
			template: meta + ", status: {startTime: '2026-01-01T08:00:00Z', succeeded: 3, failed: 2}}",
			members:  []member{{name: "b", replicas: 2, status: "{startTime: '2026-01-01T11:00:00Z', active: 2}"}},
			want:     "{startTime: '2026-01-01T08:00:00Z', active: 2, succeeded: 3, failed: 2, uncountedTerminatedPods: {}}",
		},
		"EndIsFinal": {
			reason:   "what ended stays as it ended, whatever members say",
			template: meta + ", status: {startTime: '2026-01-01T08:00:00Z', completionTime: '2026-01-01T09:00:00Z', succeeded: 4, conditions: [{type: SuccessCriteriaMet, status: 'True', lastProbeTime: null, lastTransitionTime: null}, {type: Complete, status: 'True', lastProbeTime: null, lastTransitionTime: null}]}}",
			members:  []member{{name: "b", replicas: 2, status: failed}},
			want:     "{startTime: '2026-01-01T08:00:00Z', completionTime: '2026-01-01T09:00:00Z', succeeded: 4, conditions: [{type: SuccessCriteriaMet, status: 'True', lastProbeTime: null, lastTransitionTime: null}, {type: Complete, status: 'True', lastProbeTime: null, lastTransitionTime: null}]}",
		},
		"Indexed": {
			reason:   "the indexes of a single member are the fleet's",
			template: "{apiVersion: batch/v1, kind: Job, metadata: {name: job, generation: 1}, spec: {parallelism: 2, completions: 4, completionMode: Indexed, backoffLimitPerIndex: 1}}",
			members:  []member{{name: "a", replicas: 2, status: "{startTime: '2026-01-01T10:00:00Z', active: 1, succeeded: 2, failed: 1, completedIndexes: '0,2', failedIndexes: '1'}"}},
			want:     "{startTime: '2026-01-01T10:00:00Z', active: 1, succeeded: 2, failed: 1, completedIndexes: '0,2', failedIndexes: '1', uncountedTerminatedPods: {}}",
		},
	})
}

func TestCronJob(t *testing.T) {
	testStatus(t, map[string]rollupCase{
		"TwoMembers": {
			reason:   "all running Jobs, and the latest times",
			template: "{apiVersion: batch/v1, kind: CronJob, metadata: {name: cj, generation: 1}, status: {lastScheduleTime: '2026-01-01T07:00:00Z', lastSuccessfulTime: '2026-01-01T10:30:00Z'}}",
			members: []member{
				{name: "a", status: "{active: [{kind: Job, namespace: ns, name: z, uid: '1'}], lastScheduleTime: '2026-01-01T09:00:00Z'}"},
				{name: "b", status: "{active: [{kind: Job, namespace: ns, name: a, uid: '2'}], lastScheduleTime: '2026-01-01T10:00:00Z', lastSuccessfulTime: '2026-01-01T10:01:00Z'}"},
			},
			want: "{active: [{kind: Job, namespace: ns, name: a, uid: '2'}, {kind: Job, namespace: ns, name: z, uid: '1'}], lastScheduleTime: '2026-01-01T10:00:00Z', lastSuccessfulTime: '2026-01-01T10:30:00Z'}",
		},
	})
}

func TestLoadBalancers(t *testing.T) {
	testStatus(t, map[string]rollupCase{
		"Service": {
			reason:   "the addresses of all members, once each, sorted, with the mode upstream's validation demands",
			template: "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: LoadBalancer}}",
			members: []member{
				{name: "a", status: "{loadBalancer: {ingress: [{ip: 10.0.0.2, ipMode: Proxy}, {hostname: b.example.org}]}}"},
				{name: "b", status: "{loadBalancer: {ingress: [{ip: 10.0.0.1}, {hostname: b.example.org}]}}"},
				{name: "c"},
			},
			want: "{loadBalancer: {ingress: [{hostname: b.example.org}, {ip: 10.0.0.1, ipMode: VIP}, {ip: 10.0.0.2, ipMode: Proxy}]}}",
		},
		"OtherType": {
			reason:   "a Service of another type has no addresses, whatever a member still has",
			template: "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ClusterIP}, status: {loadBalancer: {}}}",
			members:  []member{{name: "a", status: "{loadBalancer: {ingress: [{ip: 10.0.0.2}]}}"}},
			want:     "{loadBalancer: {}}",
		},
		"Ingress": {
			reason:   "an Ingress is reached through every member",
			template: "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i}}",
			members: []member{
				{name: "a", status: "{loadBalancer: {ingress: [{ip: 10.0.0.2, ports: [{port: 80, protocol: TCP}]}]}}"},
				{name: "b", status: "{loadBalancer: {ingress: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]}}"},
			},
			want: "{loadBalancer: {ingress: [{ip: 10.0.0.1}, {ip: 10.0.0.2, ports: [{port: 80, protocol: TCP}]}]}}",
		},
	})
}

func TestPersistentVolumeClaim(t *testing.T) {
	meta := "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: pvc}, status: {phase: Pending}}"
	testStatus(t, map[string]rollupCase{
		"Single": {
			reason:   "the only claim is the claim",
			template: meta,
			members:  []member{{name: "a", status: "{phase: Bound, accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, conditions: [{type: Resizing, status: 'True', lastProbeTime: null, lastTransitionTime: null}]}"}},
			want:     "{phase: Bound, accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, conditions: [{type: Resizing, status: 'True', lastProbeTime: null, lastTransitionTime: null}]}",
		},
		"AllBound": {
			reason:   "a Pod gets what every member has",
			template: meta,
			members: []member{
				{name: "a", status: "{phase: Bound, accessModes: [ReadWriteOnce, ReadOnlyMany], capacity: {storage: 2Gi, other: 1}}"},
				{name: "b", status: "{phase: Bound, accessModes: [ReadOnlyMany], capacity: {storage: 1Gi}}"},
			},
			want: "{phase: Bound, accessModes: [ReadOnlyMany], capacity: {storage: 1Gi}}",
		},
		"OnePending": {
			reason:   "bound is bound everywhere",
			template: meta,
			members:  []member{{name: "a", status: "{phase: Bound, capacity: {storage: 2Gi}}"}, {name: "b", status: "{phase: Pending}"}},
			want:     "{phase: Pending}",
		},
		"OneLost": {
			reason:   "a lost volume is lost data",
			template: meta,
			members:  []member{{name: "a", status: "{phase: Bound}"}, {name: "b", status: "{phase: Lost}"}},
			want:     "{phase: Lost}",
		},
		"Silent": {
			reason:   "a member without a status has no volume",
			template: meta,
			members:  []member{{name: "a"}},
			want:     "{phase: Pending}",
		},
	})
}

func TestKindsWithoutARow(t *testing.T) {
	meta := "{apiVersion: example.org/v1, kind: Widget, metadata: {name: w, generation: 3}"
	testStatus(t, map[string]rollupCase{
		"Single": {
			reason:   "one member's status is the status, in the template's generations",
			template: meta + ", status: {observedGeneration: 2}}",
			members:  []member{{name: "a", generation: 3, status: "{observedGeneration: 9, size: 1.5, conditions: [{type: Ready, status: 'True', observedGeneration: 9}, {type: Old, observedGeneration: 8}]}"}},
			want:     "{observedGeneration: 3, size: 1.5, conditions: [{type: Ready, status: 'True', observedGeneration: 3}, {type: Old, observedGeneration: 2}]}",
		},
		"SingleBehind": {
			reason:   "a member that has not seen the new template speaks about the old one",
			template: meta + ", status: {observedGeneration: 2}}",
			members:  []member{{name: "a", generation: 2, status: "{observedGeneration: 9, size: 2}"}},
			want:     "{observedGeneration: 2, size: 2}",
		},
		"Equal": {
			reason:   "what all members say is so",
			template: meta + "}",
			members:  []member{{name: "a", generation: 3, status: "{observedGeneration: 9, size: 1}"}, {name: "b", generation: 3, status: "{observedGeneration: 4, size: 1}"}},
			want:     "{observedGeneration: 3, size: 1}",
		},
		"Different": {
			reason:   "no rule says which member is right",
			template: meta + ", status: {size: 7}}",
			members:  []member{{name: "a", status: "{size: 1}"}, {name: "b", status: "{size: 2}"}},
			want:     "{size: 7}",
		},
		"OneSilent": {
			reason:   "silence is not agreement",
			template: meta + ", status: {size: 7}}",
			members:  []member{{name: "a", status: "{size: 1}"}, {name: "b"}},
			want:     "{size: 7}",
		},
		"NoMembers": {
			reason:   "nobody says anything",
			template: meta + ", status: {size: 7}}",
			want:     "{size: 7}",
		},
		"OwnedByFleet": {
			reason:   "the fleet's own controllers write the status of a Namespace",
			template: "{apiVersion: v1, kind: Namespace, metadata: {name: n}, status: {phase: Terminating}}",
			members:  []member{{name: "a", status: "{phase: Active}"}},
			want:     "{phase: Terminating}",
		},
	})
}

func TestNeeded(t *testing.T) {
	said := members(t, member{name: "a", status: "{size: 1}"})
	silent := members(t, member{name: "a"})
	cases := map[string]struct {
		reason  string
		kind    schema.GroupKind
		members []rollup.Member
		want    bool
	}{
		"Row":          {"a workload without members has a status to show", schema.GroupKind{Group: "apps", Kind: "Deployment"}, nil, true},
		"NoStatus":     {"a ConfigMap has none anywhere", schema.GroupKind{Kind: "ConfigMap"}, silent, false},
		"Custom":       {"a custom resource has one when a member has", schema.GroupKind{Group: "example.org", Kind: "Widget"}, said, true},
		"OwnedByFleet": {"a member has no say in a Namespace", schema.GroupKind{Kind: "Namespace"}, said, false},
		"Budget":       {"the Pods of all members count for a disruption budget of the fleet", schema.GroupKind{Group: "policy", Kind: "PodDisruptionBudget"}, said, false},
		"Autoscalers":  {"an autoscaler in members says what it does there", schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}, silent, true},
		"Autoscaler":   {"one in no member is the fleet's to run", schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}, nil, false},
		"OwnGroup":     {"nor in the fleet's own kinds", schema.GroupKind{Group: "policy.fleet.dev", Kind: "PropagationPolicy"}, said, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := rollup.Needed(tc.kind, tc.members); got != tc.want {
				t.Errorf("%s: got %t", tc.reason, got)
			}
		})
	}
}

func TestUnreadableMember(t *testing.T) {
	template := object(t, deploymentOf("1", "2", ""))
	list := members(t,
		member{name: "a", replicas: 1, status: "{replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}"},
		member{name: "b", replicas: 1, status: "{replicas: many}"})
	got, changed, err := rollup.Status(template, list, nil, now)
	var memberErr *rollup.MemberError
	if !errors.As(err, &memberErr) || memberErr.Cluster != "b" {
		t.Fatalf("the member that cannot be read is named: got %v", err)
	}
	if !changed || got["replicas"] != int64(1) || got["unavailableReplicas"] != int64(1) {
		t.Errorf("the others are counted all the same: got %v", got)
	}
	if _, _, err := rollup.Status(object(t, "{apiVersion: apps/v1, kind: Deployment, status: 1}"), nil, nil, now); err == nil {
		t.Error("a template whose status is no object cannot be read: got no error")
	}
	if _, _, err := rollup.Status(object(t, "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: x}}"), nil, nil, now); err == nil || errors.As(err, &memberErr) {
		t.Errorf("a template that cannot be read is no member's fault: got %v", err)
	}
}

func TestStatusModifiesNothing(t *testing.T) {
	template := object(t, deploymentOf("1", "6", freshDone))
	list := members(t, member{name: "b", replicas: 4, status: allReady("4")}, member{name: "a", replicas: 2, status: "{replicas: 1}"})
	templateBefore := template.DeepCopy()
	listBefore := append([]rollup.Member(nil), list...)
	if _, _, err := rollup.Status(template, list, nil, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(templateBefore, template); diff != "" {
		t.Errorf("the template may be a cached object: -before +after:\n%s", diff)
	}
	if diff := cmp.Diff(listBefore, list); diff != "" {
		t.Errorf("members stay in the caller's order: -before +after:\n%s", diff)
	}
}

func TestHorizontalPodAutoscaler(t *testing.T) {
	meta := "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, generation: 2}, spec: {maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: web}}"
	testStatus(t, map[string]rollupCase{
		"TwoMembers": {
			reason:   "each scales its own; what does not work somewhere is told",
			template: meta + ", status: {conditions: [{type: AbleToScale, status: 'True', lastTransitionTime: '2026-01-01T11:00:00Z'}]}}",
			members: []member{
				{name: "a", generation: 2, status: "{currentReplicas: 2, desiredReplicas: 3, lastScaleTime: '2026-01-01T10:00:00Z', currentMetrics: [{type: Resource}], conditions: [{type: AbleToScale, status: 'True', reason: Ready, lastTransitionTime: '2026-01-01T09:00:00Z'}, {type: ScalingActive, status: 'True', reason: Valid}, {type: ScalingLimited, status: 'False', reason: Within}]}"},
				{name: "b", generation: 2, status: "{currentReplicas: 1, desiredReplicas: 1, lastScaleTime: '2026-01-01T11:00:00Z', conditions: [{type: AbleToScale, status: 'True', reason: Ready}, {type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: no metrics}, {type: ScalingLimited, status: 'True', reason: TooMany, message: at most}]}"},
			},
			want: "{observedGeneration: 2, currentReplicas: 3, desiredReplicas: 4, currentMetrics: null, lastScaleTime: '2026-01-01T11:00:00Z', conditions: [" +
				"{type: AbleToScale, status: 'True', reason: Ready, lastTransitionTime: '2026-01-01T11:00:00Z'}, " +
				"{type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: 'member \"b\": no metrics', lastTransitionTime: '2026-01-01T12:00:00Z'}, " +
				"{type: ScalingLimited, status: 'True', reason: TooMany, message: 'member \"b\": at most', lastTransitionTime: '2026-01-01T12:00:00Z'}]}",
		},
		"Nobody": {
			reason:   "nothing is claimed while no member reports",
			template: meta + "}",
			members:  []member{{name: "a"}},
			want:     "{desiredReplicas: 0, currentMetrics: null}",
		},
	})
}

func TestTimesOfMembersDiffer(t *testing.T) {
	testStatus(t, map[string]rollupCase{
		"Conditions": {
			reason:   "members say the same at different times",
			template: "{apiVersion: example.com/v1, kind: Thing, metadata: {name: x, generation: 1}}",
			members: []member{
				{name: "a", status: "{lastSyncTime: '2026-01-01T11:00:00Z', conditions: [{type: Ready, status: 'True', lastTransitionTime: '2026-01-01T11:00:00Z'}]}"},
				{name: "b", status: "{lastSyncTime: '2026-01-01T11:00:01Z', conditions: [{type: Ready, status: 'True', lastTransitionTime: '2026-01-01T11:00:01Z'}]}"},
			},
			want: "{lastSyncTime: '2026-01-01T11:00:00Z', conditions: [{type: Ready, status: 'True', lastTransitionTime: '2026-01-01T11:00:00Z'}]}",
		},
		"Times": {
			reason:   "times that are no marks of when something was done last are content",
			template: "{apiVersion: example.com/v1, kind: Thing, metadata: {name: x, generation: 1}, status: {before: true}}",
			members:  []member{{name: "a", status: "{notAfter: '2026-01-01T11:00:00Z'}"}, {name: "b", status: "{notAfter: '2026-01-01T12:00:00Z'}"}},
			want:     "{before: true}",
		},
	})
}
