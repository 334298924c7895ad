// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

// affinityCases are about which members may take a template.
var affinityCases = map[string]testCase{
	"ClusterNames": {
		reason: "members by name, but for those excluded",
		steps: []step{
			apply(policy("p", "placement: {clusterAffinity: {clusterNames: [alpha, bravo, charlie], exclude: [bravo]}}"), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1, charlie: 1})),
		},
	},
	"Exclude": {
		reason: "every member but one",
		steps: []step{
			apply(policy("p", "placement: {clusterAffinity: {exclude: [alpha]}}"), deployment("web", 1)),
			see(placed("deployment/web", on{bravo: 1, charlie: 1})),
		},
	},
	"ClusterLabels": {
		reason: "members by label",
		steps: []step{
			apply(policy("p", "placement: {clusterAffinity: {labelSelector: {matchLabels: {env: prod}, matchExpressions: [{key: tier, operator: NotIn, values: [silver]}]}}}"), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1})),
		},
	},
	"ClusterFields": {
		reason: "members by provider, region and zone, said or observed from their nodes",
		steps: []step{
			apply(
				policy("provider", "resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: by-provider}], placement: {clusterAffinity: {fieldSelector: {matchExpressions: [{key: provider, operator: In, values: [aws]}]}}}"),
				policy("region", "resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: by-region}], placement: {clusterAffinity: {fieldSelector: {matchExpressions: [{key: region, operator: NotIn, values: [us]}]}}}"),
				policy("zone", "resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: by-zone}], placement: {clusterAffinity: {fieldSelector: {matchExpressions: [{key: zone, operator: In, values: [us-1, us-2, eu-2]}]}}}"),
				deployment("by-provider", 1), deployment("by-region", 1), deployment("by-zone", 1),
			),
			see(placed("deployment/by-provider", on{alpha: 1, charlie: 1}), placed("deployment/by-region", on{alpha: 1, bravo: 1}), placed("deployment/by-zone", on{bravo: 1, charlie: 1})),
		},
	},
	"ClusterExpression": {
		reason: "members by what CEL makes of their facts",
		steps: []step{
			apply(
				policy("p", `placement: {clusterAffinity: {expression: 'cluster.spec.region == "eu" && cluster.metadata.labels[?"tier"].orValue("") != "gold" || "us-1" in cluster.spec.zones'}}`),
				deployment("web", 1),
			),
			see(placed("deployment/web", on{bravo: 1, charlie: 1})),
		},
	},
	"Tolerations": {
		reason: "a tainted member takes what tolerates it, beside the others or alone",
		steps: []step{
			apply(
				policy("p", "placement: {clusterAffinity: {labelSelector: {matchLabels: {env: stage}}}, clusterTolerations: [{key: dedicated, operator: Equal, value: batch}]}"),
				deployment("web", 1),
			),
			see(placed("deployment/web", on{charlie: 1, delta: 1}), available("deployment/web", "1")),
			apply(policy("p", "placement: {clusterAffinity: {labelSelector: {matchLabels: {env: stage}}}, clusterTolerations: [{key: dedicated, operator: Equal, value: other}]}")),
			// What is there stays: the taint keeps off what is new.
			apply(policy("q", "resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: probe}], placement: {clusterAffinity: {labelSelector: {matchLabels: {env: stage}}}, clusterTolerations: [{key: dedicated, operator: Equal, value: other}]}"),
				deployment("probe", 1)),
			see(placed("deployment/probe", on{charlie: 1}), placed("deployment/web", on{charlie: 1, delta: 1})),
		},
	},
	"PreferredNot": {
		reason:    "a member that asks to be avoided is taken last",
		exclusive: true,
		steps: []step{
			runs("fleet taint alpha charlie e2e.fleet.dev/busy:PreferNoSchedule"),
			see(field(theFleet, "cluster/alpha", ".spec.taints[*].key", "e2e.fleet.dev/busy"), field(theFleet, "cluster/charlie", ".spec.taints[*].key", "e2e.fleet.dev/busy")),
			apply(policy("p", "placement: {spreadConstraints: [{spreadByField: cluster, maxGroups: 1}]}"), deployment("web", 1)),
			see(placed("deployment/web", on{bravo: 1})),
			runs("fleet taint alpha charlie e2e.fleet.dev/busy-"),
			see(field(theFleet, "cluster/alpha", ".spec.taints[*].key", ""), field(theFleet, "cluster/charlie", ".spec.taints[*].key", "")),
		},
	},
	"Tainted": {
		reason:    "a taint keeps off what is new, and lets go when it is taken off",
		exclusive: true,
		steps: []step{
			apply(policy("p", to(alpha)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1})),
			runs("fleet taint alpha e2e.fleet.dev/closed=yes:NoSchedule"),
			see(field(theFleet, "cluster/alpha", ".spec.taints[*].key", "e2e.fleet.dev/closed")),
			apply(policy("q", selects("apps/v1", "Deployment", ", name: late")+", "+to(alpha)), deployment("late", 1)),
			see(scheduled("deployment/late", "False NoClusterFit", "0/4 clusters are available: 1 had untolerated taint {e2e.fleet.dev/closed: yes}, 3 did not match the cluster affinity")),
			see(placed("deployment/web", on{alpha: 1})),
			runs("fleet taint alpha e2e.fleet.dev/closed:NoSchedule-"),
			see(placed("deployment/late", on{alpha: 1}), scheduled("deployment/late", "True Success", "")),
		},
	},
	"Cordoned": {
		reason:    "a cordoned member keeps what it has and gets nothing new until it is uncordoned",
		exclusive: true,
		steps: []step{
			runs("fleet cordon bravo"),
			apply(daemonSet("agent"), policy("p", to(bravo)), deployment("web", 1)),
			see(placed("daemonset/agent", on{alpha: 0, charlie: 0}), scheduled("deployment/web", "False NoClusterFit", "")),
			runs("fleet uncordon bravo"),
			see(placed("daemonset/agent", everywhere), placed("deployment/web", on{bravo: 1})),
		},
	},
	"ClusterRelabelled": {
		reason: "a workload follows the labels of the members",
		steps: []step{
			runs("kubectl label cluster alpha e2e.fleet.dev/here=yes"),
			apply(policy("p", "placement: {clusterAffinity: {labelSelector: {matchLabels: {e2e.fleet.dev/here: 'yes'}}}}"), deployment("web", 2)),
			see(placed("deployment/web", on{alpha: 2})),
			runs("kubectl label cluster bravo e2e.fleet.dev/here=yes"),
			see(placed("deployment/web", on{alpha: 2, bravo: 2})),
			runs("kubectl label cluster alpha e2e.fleet.dev/here-"),
			see(placed("deployment/web", on{bravo: 2}), available("deployment/web", "2")),
		},
	},
	"APINotServed": {
		reason: "a custom resource goes only where its kind is served, and says why not elsewhere",
		steps: []step{
			apply(
				clusterPolicy("definitions", "resourceSelectors: [{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, name: gizmos.placement.example.com}], "+to(alpha, charlie)),
				definition("Gizmo", "gizmos"),
			),
			runs("kubectl wait --for=condition=Established crd/gizmos.placement.example.com --timeout=60s"),
			see(placed("customresourcedefinition/gizmos.placement.example.com", on{alpha: 0, charlie: 0})),
			apply(
				policy("p", selects("placement.example.com/v1", "Gizmo", "")+", placement: {clusterTolerations: [{operator: Exists}]}"),
				manifest(`{apiVersion: placement.example.com/v1, kind: Gizmo, metadata: {name: one}, spec: {size: 1}}`),
			),
			see(placed("gizmo/one", on{alpha: 0, charlie: 0})),
			apply(
				policy("q", selects("placement.example.com/v1", "Gizmo", ", name: two")+", placement: {clusterAffinity: {clusterNames: [bravo]}}"),
				manifest(`{apiVersion: placement.example.com/v1, kind: Gizmo, metadata: {name: two}, spec: {size: 1}}`),
			),
			see(scheduled("gizmo/two", "False NoClusterFit", "1 did not serve the API of the resource")),
			apply(clusterPolicy("definitions", "resourceSelectors: [{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, name: gizmos.placement.example.com}], "+to(alpha, bravo, charlie))),
			see(placed("gizmo/two", on{bravo: 0})),
		},
	},
	"OrderedAffinities": {
		reason: "the first term that can take the template does; it is not left for another while it can",
		nodes:  nodes{alpha: {"cpu=2"}, bravo: {"cpu=4"}, charlie: {"cpu=4"}},
		steps: []step{
			apply(
				policy("p", `placement: {
					clusterAffinities: [{affinityName: small, clusterNames: [alpha]}, {affinityName: large, clusterNames: [bravo, charlie]}],
					replicaScheduling: {replicaSchedulingType: Divided`+aggregated+`}}`),
				pooled(deployment("web", 2)),
			),
			see(placed("deployment/web", on{alpha: 2}), available("deployment/web", "2")),
			runs("kubectl scale deployment web --replicas=6"),
			see(placed("deployment/web", on{bravo: 3, charlie: 3}), available("deployment/web", "6")),
			runs("kubectl scale deployment web --replicas=2"),
			see(sums("deployment/web", 2, bravo, charlie)),
		},
	},
	"NodeSelector": {
		reason: "Pods that only some nodes may run go to the members that have such nodes",
		nodes:  nodes{bravo: {"cpu=4"}},
		steps: []step{
			apply(pooled(deployment("web", 2)), pooled(daemonSet("agent"))),
			see(placed("deployment/web", on{bravo: 2}), available("deployment/web", "2"), placed("daemonset/agent", on{bravo: 0})),
		},
	},
	"NoNodeAnywhere": {
		reason: "Pods that no node may run are refused by every member, with the reason",
		steps: []step{
			apply(pooled(deployment("web", 2))),
			see(
				scheduled("deployment/web", "False NoClusterFit", "0/4 clusters are available: 1 had untolerated taint {dedicated: batch}, 3 had no node that the pods may run on"),
				because("deployment/web", map[string]string{
					alpha: "had no node that the pods may run on", bravo: "had no node that the pods may run on", charlie: "had no node that the pods may run on",
					delta: "had untolerated taint {dedicated: batch}",
				}),
			),
		},
	},
	"ExtendedResource": {
		reason: "Pods that ask for a device go to the member that has it",
		nodes:  nodes{alpha: {"cpu=4"}, charlie: {"cpu=4,example.com/gpu=2"}},
		steps: []step{
			apply(pooled(deployment("web", 2)).with(`{spec: {template: {spec: {containers: [{name: main, image: nginx, resources: {requests: {cpu: 1, example.com/gpu: 1}, limits: {example.com/gpu: 1}}}]}}}}`)),
			see(placed("deployment/web", on{charlie: 2}), available("deployment/web", "2")),
		},
	},
	"WorkloadAffinity": {
		reason: "templates of a group go to the same members, of another group to others",
		steps: []step{
			apply(
				policy("first", selects("apps/v1", "Deployment", ", name: first")+", "+to(bravo)),
				policy("together", selects("apps/v1", "Deployment", ", name: second")+", placement: {workloadAffinity: {affinity: {groupByLabelKey: together}}}"),
				policy("apart", selects("apps/v1", "Deployment", ", name: third")+", placement: {workloadAffinity: {antiAffinity: {groupByLabelKey: apart}}}"),
				deployment("first", 1).labelled("together", "one").labelled("apart", "one"),
			),
			see(placed("deployment/first", on{bravo: 1})),
			apply(deployment("second", 1).labelled("together", "one"), deployment("third", 1).labelled("apart", "one")),
			see(placed("deployment/second", on{bravo: 1}), placed("deployment/third", on{alpha: 1, charlie: 1})),
		},
	},
}
