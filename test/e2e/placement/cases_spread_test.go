// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

// anyRegular are the members without taints.
const anyRegular = "clusterAffinity: {clusterNames: [alpha, bravo, charlie]}"

// spreadCases are about constraints on how many members and groups of them are used.
var spreadCases = map[string]testCase{
	"SpreadByCluster": {
		reason: "no more members than are allowed",
		steps: []step{
			apply(policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster, maxGroups: 2, minGroups: 2}]}"), deployment("web", 1)),
			see(onSome("deployment/web", 2)),
		},
	},
	"SpreadByRegion": {
		reason: "one member in each of two regions",
		steps: []step{
			apply(policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster, maxGroups: 2}, {spreadByField: region, minGroups: 2}]}"), deployment("web", 1)),
			see(onSome("deployment/web", 2, charlie)),
		},
	},
	"SpreadByZone": {
		reason: "a member with several zones counts for each of them",
		steps: []step{
			apply(policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster, maxGroups: 2}, {spreadByField: zone, minGroups: 3}]}"), deployment("web", 1)),
			see(onSome("deployment/web", 2, charlie)),
		},
	},
	"SpreadByProvider": {
		reason: "two members of one provider",
		steps: []step{
			apply(policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster, minGroups: 2}, {spreadByField: provider, maxGroups: 1}]}"), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1, charlie: 1})),
		},
	},
	"SpreadByLabel": {
		reason: "one member for each of two values of a label",
		steps: []step{
			apply(policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster, maxGroups: 2}, {spreadByLabel: tier, minGroups: 2}]}"), deployment("web", 1)),
			see(onSome("deployment/web", 2, bravo)),
		},
	},
	"SpreadDivided": {
		reason: "of replicas that are divided each region gets one, though one member had room for all",
		nodes:  nodes{alpha: {"cpu=8"}, charlie: {"cpu=2"}},
		steps: []step{
			apply(
				policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster}, {spreadByField: region, minGroups: 2}], replicaScheduling: {replicaSchedulingType: Divided"+aggregated+"}}"),
				pooled(deployment("web", 3)),
			),
			see(placed("deployment/web", on{alpha: 2, charlie: 1}), available("deployment/web", "3")),
		},
	},
	"SpreadImpossible": {
		reason: "more groups than there are is an error one can read, and nothing is placed",
		steps: []step{
			apply(policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster}, {spreadByField: region, minGroups: 3}]}"), deployment("web", 1)),
			see(
				scheduled("deployment/web", "False Unschedulable", "3/4 clusters are available: 1 did not match the cluster affinity, spread constraints ask for at least 3 regions"),
				nowhere("deployment/web"),
			),
			apply(policy("p", "placement: {"+anyRegular+", spreadConstraints: [{spreadByField: cluster}, {spreadByField: region, minGroups: 2}]}")),
			see(placed("deployment/web", everywhere), scheduled("deployment/web", "True Success", "")),
		},
	},
}
