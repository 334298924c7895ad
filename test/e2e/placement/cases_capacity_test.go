// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

// capacityCases are about replicas that go where there is room. Members tell what
// is free now and then, and what was placed since is counted on the safe side. So a
// case that grows what runs asks for all that there is, and one where it matters who
// gets how much decides once.
var capacityCases = map[string]testCase{
	"DividedByRoom": {
		reason: "replicas follow what is free, exactly; growing moves nothing, shrinking is in proportion",
		nodes:  nodes{alpha: {"cpu=8"}, bravo: {"cpu=4"}},
		steps: []step{
			apply(policy("p", divided(byRoom, alpha, bravo)), pooled(deployment("web", 6))),
			see(placed("deployment/web", on{alpha: 4, bravo: 2}), available("deployment/web", "6")),
			runs("kubectl scale deployment web --replicas=12"),
			see(placed("deployment/web", on{alpha: 8, bravo: 4}), available("deployment/web", "12")),
			runs("kubectl scale deployment web --replicas=3"),
			see(placed("deployment/web", on{alpha: 2, bravo: 1}), available("deployment/web", "3")),
		},
	},
	"Fragmented": {
		reason: "room is counted node by node: two halves are no whole",
		nodes:  nodes{alpha: {"cpu=3", "cpu=3"}, bravo: {"cpu=4"}},
		steps: []step{
			apply(policy("p", divided(byRoom, alpha, bravo)), pooled(deployment("web", 4)).with(
				`{spec: {template: {spec: {containers: [{name: main, image: nginx, resources: {requests: {cpu: "2"}}}]}}}}`)),
			see(placed("deployment/web", on{alpha: 2, bravo: 2}), available("deployment/web", "4")),
		},
	},
	"TooMuch": {
		reason: "what fits nowhere is not placed at all, says so, and is placed when it asks for less",
		nodes:  nodes{alpha: {"cpu=2"}, bravo: {"cpu=2"}},
		steps: []step{
			apply(policy("p", divided(byRoom, alpha, bravo)), pooled(deployment("web", 5))),
			see(scheduled("deployment/web", "False Unschedulable", "2/4 clusters are available: 2 did not match the cluster affinity, not enough capacity for 5 more replicas"), nowhere("deployment/web")),
			runs("kubectl scale deployment web --replicas=4"),
			see(placed("deployment/web", on{alpha: 2, bravo: 2}), available("deployment/web", "4"), scheduled("deployment/web", "True Success", "")),
			runs("kubectl scale deployment web --replicas=6"),
			see(scheduled("deployment/web", "False Unschedulable", "not enough capacity for 2 more replicas"), placed("deployment/web", on{alpha: 2, bravo: 2})),
		},
	},
	"FreedCapacity": {
		reason: "what waits for room gets it when something else goes",
		nodes:  nodes{alpha: {"cpu=4"}},
		steps: []step{
			apply(policy("p", selects("apps/v1", "Deployment", "")+", "+divided(byRoom, alpha)), pooled(deployment("first", 3))),
			see(available("deployment/first", "3")),
			apply(pooled(deployment("second", 3))),
			see(scheduled("deployment/second", "False Unschedulable", "not enough capacity for 3 more replicas")),
			remove("deployment/first"),
			see(placed("deployment/second", on{alpha: 3}), available("deployment/second", "3")),
		},
	},
	"InFlight": {
		reason: "room that was given away is not given twice, though no member has reported it taken",
		nodes:  nodes{alpha: {"cpu=3"}, bravo: {"cpu=3"}},
		steps: []step{
			apply(
				policy("p", selects("apps/v1", "Deployment", "")+", "+divided(aggregated, alpha, bravo)),
				pooled(deployment("first", 2)), pooled(deployment("second", 2)), pooled(deployment("third", 2)),
			),
			see(available("deployment/first", "2"), available("deployment/second", "2"), available("deployment/third", "2")),
		},
	},
	"Aggregated": {
		reason: "as few members as have the room, and no move for growth",
		nodes:  nodes{alpha: {"cpu=6"}, bravo: {"cpu=3"}},
		steps: []step{
			apply(policy("p", divided(aggregated, alpha, bravo)), pooled(deployment("web", 5))),
			see(placed("deployment/web", on{alpha: 5}), available("deployment/web", "5")),
			runs("kubectl scale deployment web --replicas=9"),
			see(placed("deployment/web", on{alpha: 6, bravo: 3}), available("deployment/web", "9")),
		},
	},
	"Overflow": {
		reason: "tiers are filled in order and emptied in reverse",
		nodes:  nodes{alpha: {"cpu=2"}, bravo: {"cpu=2"}, charlie: {"cpu=2"}},
		steps: []step{
			apply(
				policy("p", `placement: {
					clusterAffinities: [{affinityName: own, clusterNames: [charlie], overflowAffinities: [{clusterNames: [alpha]}, {clusterNames: [bravo]}]}],
					replicaScheduling: {replicaSchedulingType: Divided`+byRoom+`}}`),
				pooled(deployment("web", 5)),
			),
			see(placed("deployment/web", on{charlie: 2, alpha: 2, bravo: 1}), available("deployment/web", "5")),
			runs("kubectl scale deployment web --replicas=2"),
			see(placed("deployment/web", on{charlie: 2}), available("deployment/web", "2")),
		},
	},
	"OverflowNeedsRoom": {
		reason: "copies do not overflow; to ask for it is an error one can read",
		steps: []step{
			apply(policy("p", `placement: {clusterAffinities: [{affinityName: own, clusterNames: [charlie], overflowAffinities: [{clusterNames: [alpha]}]}]}`), deployment("web", 1)),
			see(scheduled("deployment/web", "False SchedulerError", "overflowAffinities need replicas that are divided by capacity")),
		},
	},
	"MovedWithoutGap": {
		reason: "a workload that moves runs in the new member before it leaves the old one, and configuration is there",
		steps: []step{
			apply(policy("p", to(alpha)), deployment("web", 2), configMap("settings")),
			see(available("deployment/web", "2"), placed("configmap/settings", on{alpha: 0})),
			// Nothing gets ready in the new member while its image cannot be pulled.
			apply(
				override("broken", `overrideRules: [{targetCluster: {clusterNames: [bravo]}, overriders: {imageOverrider: [{component: Repository, operator: replace, value: team/nonexistent}]}}]`),
				policy("p", to(bravo)),
			),
			see(
				field(bravo, "deployment/web", image, "registry.example.com/team/nonexistent:v1"), field(alpha, "deployment/web", ".status.availableReplicas", "2"),
				field(theFleet, "resourcebinding/web-deployment", ".spec.gracefulEvictionTasks[*].fromCluster", alpha),
			),
			stays(field(alpha, "deployment/web", ".status.availableReplicas", "2")),
			remove("overridepolicy/broken"),
			see(placed("deployment/web", on{bravo: 2}), available("deployment/web", "2"), placed("configmap/settings", on{alpha: 0, bravo: 0})),
		},
	},
	"MaxPods": {
		reason: "a node takes no more Pods than it says, whatever they ask for",
		nodes:  nodes{alpha: {"cpu=8,pods=2"}, bravo: {"cpu=8,pods=1"}},
		steps: []step{
			apply(policy("p", divided(byRoom, alpha, bravo)), pooled(deployment("web", 3))),
			see(placed("deployment/web", on{alpha: 2, bravo: 1}), available("deployment/web", "3")),
		},
	},
	"HostPorts": {
		reason: "Pods that want the same port of their host are one to a node",
		nodes:  nodes{alpha: {"cpu=8", "cpu=8"}, bravo: {"cpu=8"}},
		steps: []step{
			apply(policy("p", divided(byRoom, alpha, bravo)), pooled(deployment("web", 3)).with(
				`{spec: {template: {spec: {containers: [{name: main, image: nginx, ports: [{containerPort: 8080, hostPort: 8080}], resources: {requests: {cpu: "1"}}}]}}}}`)),
			see(placed("deployment/web", on{alpha: 2, bravo: 1}), available("deployment/web", "3")),
			runs("kubectl scale deployment web --replicas=4"),
			see(scheduled("deployment/web", "False Unschedulable", "not enough capacity for 1 more replicas")),
		},
	},
	"ApartOnNodes": {
		reason: "Pods that keep each other off a node are counted by nodes",
		nodes:  nodes{alpha: {"cpu=8", "cpu=8"}, bravo: {"cpu=8"}},
		steps: []step{
			apply(policy("p", divided(byRoom, alpha, bravo)), pooled(deployment("web", 3)).with(
				`{spec: {template: {spec: {affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}]}}}}}}`)),
			see(placed("deployment/web", on{alpha: 2, bravo: 1}), available("deployment/web", "3")),
		},
	},
	"Quota": {
		reason: "what the quota of a member leaves to a namespace is all the room there is",
		nodes:  nodes{alpha: {"cpu=8"}, bravo: {"cpu=4"}},
		steps: []step{
			applyTo(alpha, memberNamespace, manifest(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: small}, spec: {hard: {pods: 2}}}`)),
			see(field(theFleet, "cluster/alpha", `.status.capacity.quotas[?(@.namespace=="$NS")].namespace`, "$NS")),
			apply(policy("p", divided(byRoom, alpha, bravo)), pooled(deployment("web", 6))),
			see(placed("deployment/web", on{alpha: 2, bravo: 4}), available("deployment/web", "6")),
		},
	},
	"Gang": {
		reason: "a gang is placed when all of it has room, and not before",
		nodes:  nodes{alpha: {"cpu=2"}, bravo: {"cpu=2"}},
		steps: []step{
			apply(policy("p", "placement: {auto: {}, gang: {}, clusterAffinity: {clusterNames: [alpha, bravo]}}"), pooled(deployment("web", 5))),
			see(scheduled("deployment/web", "False Unschedulable", "not enough capacity for 5 more replicas"), nowhere("deployment/web")),
			runs("kubectl scale deployment web --replicas=4"),
			see(placed("deployment/web", on{alpha: 2, bravo: 2}), available("deployment/web", "4")),
		},
	},
}
