// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

// memberNamespace is the namespace of the case in a member, made by its own people.
var memberNamespace = manifest(`{apiVersion: v1, kind: Namespace, metadata: {name: $NS}}`)

// suspensionCases are about changes that are held back, and objects that belong to
// others or are to be left.
var suspensionCases = map[string]testCase{
	"DispatchingSuspended": {
		reason: "what is suspended is decided and not carried out; what is there stays as it is; then it goes on",
		steps: []step{
			apply(policy("p", "suspension: {dispatching: true}, "+to(alpha, bravo)), deployment("web", 1)),
			see(scheduled("deployment/web", "True Success", ""), decidedOn("deployment/web", on{alpha: 0, bravo: 0})),
			stays(decidedOn("deployment/web", on{alpha: 0, bravo: 0})),
			apply(policy("p", "suspension: {dispatching: false}, "+to(alpha, bravo))),
			see(placed("deployment/web", on{alpha: 1, bravo: 1}), available("deployment/web", "1")),
			apply(policy("p", "suspension: {dispatching: true}, "+to(alpha, bravo))),
			see(field(theFleet, "resourcebinding/web-deployment", ".spec.suspension.dispatching", "true")),
			runs("kubectl scale deployment web --replicas=2"),
			see(field(theFleet, "resourcebinding/web-deployment", ".spec.replicas", "2")),
			stays(field(alpha, "deployment/web", ".spec.replicas", "1"), field(bravo, "deployment/web", ".spec.replicas", "1")),
			apply(policy("p", to(alpha, bravo))),
			see(placed("deployment/web", on{alpha: 2, bravo: 2})),
		},
	},
	"DispatchingSuspendedForOne": {
		reason: "changes are held back from the members that are named, and reach the others",
		steps: []step{
			apply(policy("p", "suspension: {dispatchingOnClusters: {clusterNames: [bravo]}}, "+to(alpha, bravo)), deployment("web", 1)),
			see(decidedOn("deployment/web", on{alpha: 0, bravo: 0}, alpha)),
			apply(policy("p", "suspension: {dispatchingOnClusters: {clusterNames: [alpha]}}, "+to(alpha, bravo))),
			see(placed("deployment/web", on{alpha: 1, bravo: 1})),
			runs("kubectl set image deployment/web main=nginx:2"),
			see(field(bravo, "deployment/web", image, "nginx:2")),
			stays(field(alpha, "deployment/web", image, "registry.example.com/team/web:v1")),
			apply(policy("p", to(alpha, bravo))),
			see(field(alpha, "deployment/web", image, "nginx:2"), available("deployment/web", "1")),
		},
	},
	"DeletionSuspended": {
		reason: "what is held back is not deleted either, though its template is gone, until its policy says so",
		steps: []step{
			apply(policy("p", to(alpha, bravo)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1, bravo: 1})),
			apply(policy("p", "suspension: {dispatchingOnClusters: {clusterNames: [alpha]}}, "+to(alpha, bravo))),
			see(field(theFleet, "resourcebinding/web-deployment", ".spec.suspension.dispatchingOnClusters.clusterNames[0]", alpha)),
			remove("deployment/web"),
			stays(field(alpha, "deployment/web", ".spec.replicas", "1")),
			apply(policy("p", to(alpha, bravo))),
			see(nowhere("deployment/web")),
		},
	},
	"SchedulingSuspended": {
		reason: "who suspends the scheduling of one workload keeps its members and shares until it is resumed",
		steps: []step{
			apply(policy("p", selects("apps/v1", "Deployment", "")+", "+divided(byWeight("alpha=1 bravo=1"), alpha, bravo)), deployment("web", 2), deployment("probe", 2)),
			see(placed("deployment/web", on{alpha: 1, bravo: 1}), placed("deployment/probe", on{alpha: 1, bravo: 1})),
			runs(`kubectl patch resourcebinding web-deployment --type=merge -p {"spec":{"suspension":{"scheduling":true}}}`),
			runs("kubectl scale deployment web --replicas=6"),
			runs("kubectl scale deployment probe --replicas=6"),
			see(placed("deployment/probe", on{alpha: 3, bravo: 3})),
			stays(placed("deployment/web", on{alpha: 1, bravo: 1})),
			runs(`kubectl patch resourcebinding web-deployment --type=merge -p {"spec":{"suspension":{"scheduling":false}}}`),
			see(placed("deployment/web", on{alpha: 3, bravo: 3}), available("deployment/web", "6")),
		},
	},
	"Preserved": {
		reason: "what a policy preserves runs on when its template is deleted, and is the fleet's no more",
		steps: []step{
			apply(policy("p", "preserveResourcesOnDeletion: true, "+to(alpha)), deployment("web", 1), policy("q", selects("apps/v1", "Deployment", ", name: probe")+", "+to(alpha)), deployment("probe", 1)),
			see(available("deployment/web", "1"), available("deployment/probe", "1")),
			remove("deployment/web", "deployment/probe"),
			see(nowhere("deployment/probe"), field(alpha, "deployment/web", `.metadata.labels.fleet\.dev/managed-by`, ""), field(alpha, "deployment/web", ".status.availableReplicas", "1")),
		},
	},
	"ConflictAborts": {
		reason: "with Abort what somebody else made is left alone, whatever is in it, and the conflict is told",
		steps: []step{
			applyTo(alpha, memberNamespace, configMap("settings")),
			apply(policy("p", selects("v1", "ConfigMap", "")+", conflictResolution: Abort, "+to(alpha, bravo)), configMap("settings")),
			see(condition("configmap/settings", "FullyApplied", "False FullyAppliedFailed", "not applied in alpha: Conflict: "), field(bravo, "configmap/settings", ".data.key", "value"), field(alpha, "configmap/settings", `.metadata.labels.fleet\.dev/managed-by`, "")),
		},
	},
	"ConflictOverwrites": {
		reason: "with Overwrite it is taken over",
		steps: []step{
			applyTo(alpha, memberNamespace, configMap("settings").with("{data: {key: theirs, more: theirs}}")),
			apply(policy("p", selects("v1", "ConfigMap", "")+", conflictResolution: Overwrite, "+to(alpha)), configMap("settings")),
			see(placed("configmap/settings", on{alpha: 0}), field(alpha, "configmap/settings", ".data.key", "value"), condition("configmap/settings", "FullyApplied", "True FullyAppliedSuccess", "")),
		},
	},
	"ConflictIfDifferent": {
		reason: "by default it is taken over when that changes nothing, and given back when the template goes",
		steps: []step{
			applyTo(alpha, memberNamespace, configMap("same"), configMap("different").with("{data: {key: theirs}}")),
			apply(policy("p", selects("v1", "ConfigMap", "")+", "+to(alpha)), configMap("same"), configMap("different")),
			see(
				condition("configmap/same", "FullyApplied", "True FullyAppliedSuccess", ""), field(alpha, "configmap/same", `.metadata.annotations.fleet\.dev/adopted`, "true"),
				condition("configmap/different", "FullyApplied", "False FullyAppliedFailed", ""), field(alpha, "configmap/different", ".data.key", "theirs"),
			),
			remove("configmap/same"),
			see(field(alpha, "configmap/same", `.metadata.labels.fleet\.dev/managed-by`, ""), field(alpha, "configmap/same", ".data.key", "value")),
			apply(policy("p", selects("v1", "ConfigMap", "")+", conflictResolution: Overwrite, "+to(alpha))),
			see(field(alpha, "configmap/different", ".data.key", "value"), condition("configmap/different", "FullyApplied", "True FullyAppliedSuccess", "")),
		},
	},
}
