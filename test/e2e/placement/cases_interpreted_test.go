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
