// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import "fmt"

// customization says how a kind is read.
func customization(name, kind, rules string) object {
	return manifest(fmt.Sprintf(`{apiVersion: config.fleet.dev/v1alpha1, kind: ResourceInterpreterCustomization, metadata: {name: %s}, spec: {
		target: {apiVersion: placement.example.com/v1, kind: %s}, customizations: {%s}}}`, name, kind, rules))
}

// interpretedCases are about custom resources that a customization says how to read.
var interpretedCases = map[string]testCase{
	"CustomReplicas": {
		reason: "a kind with replicas by customization is divided like any other, and takes what it depends on along",
		steps: []step{
			apply(
				definition("Crew", "crews"),
				customization("crews", "Crew", `
					replicaResource: {expression: "Replicas{replicas: object.spec.size}"},
					replicaRevision: {expression: "Object{spec: Object.spec{size: replicas}}"},
					dependencyInterpretation: {expression: 'has(object.spec.config) ? [Dependency{apiVersion: "v1", kind: "ConfigMap", namespace: object.metadata.namespace, name: object.spec.config}] : []'}`),
			),
			runs("kubectl wait --for=condition=Established crd/crews.placement.example.com --timeout=60s"),
			apply(
				elsewhere, configMap("settings"),
				policy("p", "propagateDeps: true, "+selects("placement.example.com/v1", "Crew", "")+", "+divided(byWeight("alpha=1 bravo=2"), alpha, bravo)),
				manifest(`{apiVersion: placement.example.com/v1, kind: Crew, metadata: {name: ship}, spec: {size: 6, config: settings}}`),
			),
			see(
				field(alpha, "crew/ship", ".spec.size", "2"), field(bravo, "crew/ship", ".spec.size", "4"), placed("crew/ship", on{alpha: 0, bravo: 0}),
				placed("configmap/settings", on{alpha: 0, bravo: 0, charlie: 0}),
			),
			patch("crew/ship", "{spec: {size: 9}}"),
			see(field(alpha, "crew/ship", ".spec.size", "3"), field(bravo, "crew/ship", ".spec.size", "6")),
		},
	},
	"CustomComponents": {
		reason: "a kind of several sorts of Pods goes where there is room for all of them together",
		nodes:  nodes{alpha: {"cpu=3"}, bravo: {"cpu=6"}},
		steps: []step{
			apply(
				definition("Cast", "casts"),
				customization("casts", "Cast", `componentResource: {expression: 'object.spec.parts.map(p, Component{name: p.name, replicas: p.count, requirements: podRequirements(p.template)})'}`),
			),
			runs("kubectl wait --for=condition=Established crd/casts.placement.example.com --timeout=60s"),
			apply(
				policy("p", selects("placement.example.com/v1", "Cast", "")+", placement: {clusterAffinity: {clusterNames: [alpha, bravo]}, spreadConstraints: [{spreadByField: cluster, maxGroups: 1}]}"),
				cast("play", 3),
			),
			see(placed("cast/play", on{bravo: 0}), field(theFleet, "resourcebinding/"+bindingName("cast/play"), ".spec.components[*].replicas", "1 3")),
			apply(cast("opera", 9)),
			see(scheduled("cast/opera", "False NoClusterFit", "2 had no room for all of its pods together"), nowhere("cast/opera")),
		},
	},
	"CustomStatus": {
		reason: "what a member reports of a kind, whether it is healthy, what the fleet makes of it, and what it keeps, is by customization",
		steps: []step{
			apply(
				definition("Band", "bands"),
				customization("bands", "Band", `
					statusReflection: {expression: "Object.status{ready: object.status.?ready.orValue(0)}"},
					statusAggregation: {expression: "Object.status{ready: items.map(i, int(i.status.?ready.orValue(0))).sum()}"},
					healthInterpretation: {expression: "has(object.status.ready) ? dyn(object.status.ready == object.spec.size) : dyn(null)"},
					retention: {expression: "Object{spec: Object.spec{leader: observed.spec.leader}}"}`),
			),
			runs("kubectl wait --for=condition=Established crd/bands.placement.example.com --timeout=60s"),
			apply(
				policy("p", selects("placement.example.com/v1", "Band", "")+", "+to(alpha, bravo)),
				manifest(`{apiVersion: placement.example.com/v1, kind: Band, metadata: {name: loud}, spec: {size: 3, leader: nobody}}`),
			),
			see(placed("band/loud", on{alpha: 0, bravo: 0})),
			patchIn(alpha, "band/loud", "{status: {ready: 3, internal: secret}}", "status"),
			patchIn(bravo, "band/loud", "{status: {ready: 2}}", "status"),
			see(
				field(theFleet, "band/loud", ".status.ready", "5"),
				field(theFleet, "resourcebinding/"+bindingName("band/loud"), `.status.aggregatedStatus[?(@.clusterName=="alpha")].health`, "Healthy"),
				field(theFleet, "resourcebinding/"+bindingName("band/loud"), `.status.aggregatedStatus[?(@.clusterName=="bravo")].health`, "Unhealthy"),
				field(theFleet, "resourcebinding/"+bindingName("band/loud"), `.status.aggregatedStatus[?(@.clusterName=="alpha")].status`, `{"ready":3}`),
			),
			patchIn(alpha, "band/loud", "{spec: {leader: alice}}"),
			patch("band/loud", "{spec: {size: 4}}"),
			see(field(alpha, "band/loud", ".spec.size", "4"), field(alpha, "band/loud", ".spec.leader", "alice"), field(bravo, "band/loud", ".spec.leader", "nobody")),
		},
	},
	"KnownProject": {
		reason: "kinds of well-known projects are divided without any customization of the user's",
		steps: []step{
			apply(definition("Rollout", "rollouts").with(`{metadata: {name: rollouts.argoproj.io}, spec: {group: argoproj.io, versions: [{name: v1alpha1, served: true, storage: true,
				subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, properties: {
				spec: {type: object, x-kubernetes-preserve-unknown-fields: true}, status: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}}]}}`)),
			runs("kubectl wait --for=condition=Established crd/rollouts.argoproj.io --timeout=60s"),
			apply(
				elsewhere, configMap("settings"),
				policy("p", "propagateDeps: true, "+selects("argoproj.io/v1alpha1", "Rollout", "")+", "+divided(byWeight("alpha=1 bravo=2"), alpha, bravo)),
				manifest(`{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: web}, spec: {replicas: 6, template: {spec: {containers: [
					{name: main, image: nginx, envFrom: [{configMapRef: {name: settings}}]}]}}}}`),
			),
			see(placed("rollout/web", on{alpha: 2, bravo: 4}), placed("configmap/settings", on{alpha: 0, bravo: 0, charlie: 0})),
		},
	},
	"CustomizationIsChecked": {
		reason: "an expression that could never work is refused",
		steps: []step{
			refused(customization("$NS", "Crew", `replicaResource: {expression: "Replicas{replicas: object.spec.size +}"}`), "Syntax error"),
			refused(customization("$NS", "Crew", `replicaResource: {expression: "'three'"}`), "spec.customizations.replicaResource.expression"),
		},
	},
}

// cast has one leader and some others, of one CPU each.
func cast(name string, others int) object {
	template := `{spec: {nodeSelector: {"` + poolKey + `": $NS}, tolerations: [{key: "` + poolKey + `", operator: Exists}], containers: [{name: main, image: nginx, resources: {requests: {cpu: "1"}}}]}}`
	return manifest(fmt.Sprintf(`{apiVersion: placement.example.com/v1, kind: Cast, metadata: {name: %s}, spec: {parts: [
		{name: leader, count: 1, template: %s}, {name: others, count: %d, template: %s}]}}`, name, template, others, template))
}
