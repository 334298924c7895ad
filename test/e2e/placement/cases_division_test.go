// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

// divisionCases are about who gets how many replicas, where room does not matter.
var divisionCases = map[string]testCase{
	"Duplicated": {
		reason: "every member gets all replicas, and the template's status counts them once",
		steps: []step{
			apply(policy("p", "placement: {clusterAffinity: {labelSelector: {matchLabels: {env: prod}}}, replicaScheduling: {replicaSchedulingType: Duplicated}}"), deployment("web", 3)),
			see(placed("deployment/web", on{alpha: 3, bravo: 3}), available("deployment/web", "3")),
			runs("kubectl rollout status deployment/web --timeout=60s", "successfully rolled out"),
			runs("kubectl scale deployment web --replicas=4"),
			see(placed("deployment/web", on{alpha: 4, bravo: 4}), available("deployment/web", "4")),
		},
	},
	"StaticWeights": {
		reason: "replicas are divided by weight; a member without weight gets none",
		steps: []step{
			apply(policy("p", divided(byWeight("alpha=1 bravo=2"), alpha, bravo, charlie)), deployment("web", 9)),
			see(placed("deployment/web", on{alpha: 3, bravo: 6}), available("deployment/web", "9")),
			runs("kubectl scale deployment web --replicas=12"),
			see(placed("deployment/web", on{alpha: 4, bravo: 8})),
			runs("kubectl scale deployment web --replicas=3"),
			see(placed("deployment/web", on{alpha: 1, bravo: 2}), available("deployment/web", "3")),
			apply(policy("p", divided(byWeight("alpha=2 bravo=1"), alpha, bravo, charlie))),
			see(placed("deployment/web", on{alpha: 2, bravo: 1}), available("deployment/web", "3")),
		},
	},
	"HighestWeight": {
		reason: "a member that several weights are for has the highest",
		steps: []step{
			apply(
				policy("p", `placement: {replicaScheduling: {replicaSchedulingType: Divided, replicaDivisionPreference: Weighted, weightPreference: {staticWeightList: [
					{targetCluster: {labelSelector: {matchLabels: {env: prod}}}, weight: 1}, {targetCluster: {clusterNames: [bravo]}, weight: 3}, {targetCluster: {clusterNames: [charlie]}, weight: 2}]}}}`),
				deployment("web", 6),
			),
			see(placed("deployment/web", on{alpha: 1, bravo: 3, charlie: 2})),
		},
	},
	"EqualWeights": {
		reason: "without weights all weigh the same, and ties go by name",
		nodes:  nodes{alpha: {"cpu=8"}, bravo: {"cpu=8"}, charlie: {"cpu=8"}},
		steps: []step{
			apply(policy("p", divided("", alpha, bravo, charlie)), pooled(deployment("web", 10))),
			see(placed("deployment/web", on{alpha: 4, bravo: 3, charlie: 3}), available("deployment/web", "10")),
		},
	},
	"FewReplicas": {
		reason: "members that get no replica are left out, and the template is complete nevertheless",
		nodes:  nodes{alpha: {"cpu=8"}, bravo: {"cpu=8"}, charlie: {"cpu=8"}},
		steps: []step{
			apply(policy("p", divided("", alpha, bravo, charlie)), pooled(deployment("web", 2))),
			see(placed("deployment/web", on{alpha: 1, bravo: 1}), available("deployment/web", "2")),
		},
	},
	"ToZeroAndBack": {
		reason: "a workload scaled to zero is not forgotten",
		steps: []step{
			apply(policy("p", divided(byWeight("alpha=1 bravo=1"), alpha, bravo)), deployment("web", 4)),
			see(placed("deployment/web", on{alpha: 2, bravo: 2}), available("deployment/web", "4")),
			runs("kubectl scale deployment web --replicas=0"),
			see(available("deployment/web", ""), sums("deployment/web", 0, alpha, bravo)),
			runs("kubectl scale deployment web --replicas=2"),
			see(placed("deployment/web", on{alpha: 1, bravo: 1}), available("deployment/web", "2")),
		},
	},
	"StatefulSetOrdinals": {
		reason: "members of a divided StatefulSet count on from each other; only the last range grows and shrinks",
		nodes:  nodes{alpha: {"cpu=2"}, bravo: {"cpu=6"}},
		steps: []step{
			apply(
				policy("p", selects("apps/v1", "StatefulSet", "")+", "+divided(byWeight("alpha=1 bravo=1"), alpha, bravo)),
				pooled(statefulSet("db", 4)),
			),
			see(
				placed("statefulset/db", on{alpha: 2, bravo: 2}), available("statefulset/db", "4"), disjoint("statefulset/db", 4),
				field(alpha, "pod/db-0", ".status.phase", "Running"), field(bravo, "pod/db-3", ".status.phase", "Running"),
			),
			// A partition is about the numbers of all Pods, too.
			patch("statefulset/db", `{spec: {updateStrategy: {rollingUpdate: {partition: 3}}}}`),
			runs("kubectl set image statefulset/db *=nginx:2"),
			runs("kubectl rollout status statefulset/db --timeout=60s", "1 new pods have been updated"),
			see(
				field(bravo, "pod/db-3", ".spec.containers[0].image", "nginx:2"),
				field(bravo, "pod/db-2", ".spec.containers[0].image", "nginx"),
				field(alpha, "pod/db-1", ".spec.containers[0].image", "nginx"),
				available("statefulset/db", "4"),
			),
			apply(policy("p", selects("apps/v1", "StatefulSet", "")+", "+divided(byRoom, alpha, bravo))),
			runs("kubectl scale statefulset db --replicas=6"),
			see(placed("statefulset/db", on{alpha: 2, bravo: 4}), available("statefulset/db", "6"), disjoint("statefulset/db", 6)),
			runs("kubectl scale statefulset db --replicas=3"),
			see(placed("statefulset/db", on{alpha: 2, bravo: 1}), available("statefulset/db", "3"), disjoint("statefulset/db", 3)),
		},
	},
	"JobDivided": {
		reason: "what a Job has to complete is divided, and completes in sum",
		steps: []step{
			apply(
				policy("p", selects("batch/v1", "Job", "")+", "+divided(byWeight("alpha=1 bravo=2"), alpha, bravo)),
				job("sum").with(`{spec: {parallelism: 3, completions: 6}}`),
			),
			see(
				placed("job/sum", on{alpha: 1, bravo: 2}), field(alpha, "job/sum", ".spec.completions", "2"), field(bravo, "job/sum", ".spec.completions", "4"),
				field(theFleet, "job/sum", ".status.succeeded", "6"),
			),
			runs("kubectl wait --for=condition=Complete job/sum --timeout=60s", "condition met"),
		},
	},
	"JobIndexed": {
		reason: "a Job whose Pods have indexes is not divided, and says so",
		steps: []step{
			apply(
				policy("p", selects("batch/v1", "Job", "")+", "+divided("", alpha, bravo)),
				job("indexed").with(`{spec: {completionMode: Indexed, parallelism: 2, completions: 2}}`),
			),
			see(scheduled("job/indexed", "False SchedulerError", "a Job with completionMode Indexed cannot be divided"), nowhere("job/indexed")),
		},
	},
}
