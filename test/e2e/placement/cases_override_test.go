// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

// configuration is a ConfigMap with text in it that has a structure.
const configuration = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {
	config.yaml: "db:\n  host: local\n  port: 5432\n", config.json: "{\"debug\": true, \"list\": [1]}", plain: text}}`

// aboutSettings is for policies about that ConfigMap.
const aboutSettings = `resourceSelectors: [{apiVersion: v1, kind: ConfigMap, name: settings}], `

// overrideCases are about what is different in each member.
var overrideCases = map[string]testCase{
	"ImageParts": {
		reason: "each part of an image is changed on its own, member by member",
		steps: []step{
			apply(
				override("images", `overrideRules: [
					{targetCluster: {clusterNames: [alpha]}, overriders: {imageOverrider: [{component: Registry, operator: replace, value: "mirror.example.com:5000"}]}},
					{targetCluster: {clusterNames: [bravo]}, overriders: {imageOverrider: [{component: Repository, operator: add, value: -slim}, {component: Tag, operator: replace, value: v2}]}},
					{targetCluster: {clusterNames: [charlie]}, overriders: {imageOverrider: [{component: Registry, operator: remove}, {predicate: {path: /spec/template/spec/containers/0/image}, component: Tag, operator: remove}]}}]`),
				policy("p", to(alpha, bravo, charlie)), deployment("web", 1),
			),
			see(
				field(alpha, "deployment/web", image, "mirror.example.com:5000/team/web:v1"),
				field(bravo, "deployment/web", image, "registry.example.com/team/web-slim:v2"),
				field(charlie, "deployment/web", image, "team/web"),
				field(theFleet, "deployment/web", image, "registry.example.com/team/web:v1"),
				field(alpha, "deployment/web", `.metadata.annotations.fleet\.dev/overrides`, "$NS/images"),
			),
		},
	},
	"CommandAndArgs": {
		reason: "words are added to and taken from the command and arguments of a container",
		steps: []step{
			apply(
				override("words", `overrideRules: [{targetCluster: {clusterNames: [alpha]}, overriders: {
					commandOverrider: [{containerName: main, operator: add, value: [--fast]}],
					argsOverrider: [{containerName: main, operator: remove, value: [--debug]}, {containerName: main, operator: add, value: [--region, eu]}]}}]`),
				policy("p", to(alpha, bravo)),
				deployment("web", 1).with(`{spec: {template: {spec: {containers: [{name: main, image: nginx, command: [serve], args: [--debug, --port]}]}}}}`),
			),
			see(
				field(alpha, "deployment/web", ".spec.template.spec.containers[0].command", `["serve","--fast"]`),
				field(alpha, "deployment/web", ".spec.template.spec.containers[0].args", `["--port","--region","eu"]`),
				field(bravo, "deployment/web", ".spec.template.spec.containers[0].args", `["--debug","--port"]`),
			),
		},
	},
	"LabelsAndAnnotations": {
		reason: "labels and annotations are added, replaced where they are, and removed",
		steps: []step{
			apply(
				override("marks", `overrideRules: [{targetCluster: {labelSelector: {matchLabels: {tier: gold}}}, overriders: {
					labelsOverrider: [{operator: add, value: {new: label}}, {operator: replace, value: {tier: gold, absent: x}}, {operator: remove, value: {old: any}}],
					annotationsOverrider: [{operator: add, value: {note: hello}}]}}]`),
				policy("p", to(alpha, bravo)),
				deployment("web", 1).labelled("tier", "none").labelled("old", "yes"),
			),
			see(
				field(alpha, "deployment/web", ".metadata.labels.new", "label"), field(alpha, "deployment/web", ".metadata.labels.tier", "gold"),
				field(alpha, "deployment/web", ".metadata.labels.old", ""), field(alpha, "deployment/web", ".metadata.labels.absent", ""),
				field(alpha, "deployment/web", ".metadata.annotations.note", "hello"),
				field(bravo, "deployment/web", ".metadata.labels.tier", "none"), field(bravo, "deployment/web", ".metadata.labels.old", "yes"),
			),
		},
	},
	"TextInFields": {
		reason: "YAML and JSON inside a string are edited by path",
		steps: []step{
			apply(
				override("text", aboutSettings+`overrideRules: [{targetCluster: {fieldSelector: {matchExpressions: [{key: region, operator: In, values: [eu]}]}}, overriders: {fieldOverrider: [
					{fieldPath: /data/config.yaml, yaml: [{subPath: /db/host, operator: replace, value: db.eu}, {subPath: /db/tls, operator: add, value: true}]},
					{fieldPath: /data/config.json, json: [{subPath: /debug, operator: remove}, {subPath: /list/-, operator: add, value: 2}]}]}}]`),
				policy("p", aboutSettings+to(alpha, charlie)), manifest(configuration),
			),
			see(
				field(alpha, "configmap/settings", `.data.config\.yaml`, "db:\n  host: db.eu\n  port: 5432\n  tls: true\n"),
				field(alpha, "configmap/settings", `.data.config\.json`, `{"list":[1,2]}`),
				field(charlie, "configmap/settings", `.data.config\.yaml`, "db:\n  host: local\n  port: 5432\n"),
			),
		},
	},
	"Plaintext": {
		reason: "any field is added, replaced and removed by path",
		steps: []step{
			apply(
				override("fields", `overrideRules: [{targetCluster: {clusterNames: [alpha]}, overriders: {plaintext: [
					{path: /spec/minReadySeconds, operator: add, value: 1}, {path: /spec/paused, operator: remove},
					{path: /spec/template/spec/terminationGracePeriodSeconds, operator: replace, value: 5}]}}]`),
				policy("p", to(alpha, bravo)),
				deployment("web", 1).with(`{spec: {paused: true, template: {spec: {terminationGracePeriodSeconds: 10}}}}`),
			),
			see(
				field(alpha, "deployment/web", ".spec.minReadySeconds", "1"), field(alpha, "deployment/web", ".spec.paused", ""),
				field(alpha, "deployment/web", ".spec.template.spec.terminationGracePeriodSeconds", "5"),
				field(bravo, "deployment/web", ".spec.minReadySeconds", ""), field(bravo, "deployment/web", ".spec.paused", "true"),
			),
		},
	},
	"OverrideReplicas": {
		reason: "overrides come after the division, so that one can say how many a member runs",
		steps: []step{
			apply(
				override("fields", `overrideRules: [{targetCluster: {clusterNames: [alpha]}, overriders: {plaintext: [{path: /spec/replicas, operator: replace, value: 3}]}}]`),
				policy("p", to(alpha, bravo)), deployment("web", 1),
			),
			see(placed("deployment/web", on{alpha: 3, bravo: 1})),
		},
	},
	"OverrideExpression": {
		reason: "CEL makes values from facts of the member and from the template",
		steps: []step{
			apply(
				override("facts", aboutSettings+`overrideRules: [{overriders: {expression: '
					Object{data: {"region": cluster.spec.region, "who": cluster.metadata.name + "/" + object.data.plain, "env": cluster.metadata.labels["env"]}}'}}]`),
				policy("p", aboutSettings+to(alpha, charlie)), manifest(configuration),
			),
			see(
				field(alpha, "configmap/settings", ".data.region", "eu"), field(alpha, "configmap/settings", ".data.who", "alpha/text"), field(alpha, "configmap/settings", ".data.env", "prod"),
				field(charlie, "configmap/settings", ".data.region", "us"), field(charlie, "configmap/settings", ".data.who", "charlie/text"),
			),
		},
	},
	"OverrideOrder": {
		reason: "cluster policies come first, then those of the namespace; inside a scope by name",
		steps: []step{
			apply(
				clusterOverride("z", `overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {a: cluster, b: cluster-z, c: cluster}}]}}]`),
				clusterOverride("y", `overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {b: cluster-y}}]}}]`),
				override("b", `overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {c: own-b}}]}}]`),
				override("a", `overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {c: own-a}}]}}]`),
				policy("p", to(alpha)), deployment("web", 1),
			),
			see(
				field(alpha, "deployment/web", ".metadata.labels.a", "cluster"), field(alpha, "deployment/web", ".metadata.labels.b", "cluster-z"), field(alpha, "deployment/web", ".metadata.labels.c", "own-b"),
				field(alpha, "deployment/web", `.metadata.annotations.fleet\.dev/overrides`, "/$NS-y,/$NS-z,$NS/a,$NS/b"),
			),
		},
	},
	"OverrideEverything": {
		reason: "a policy that selects nothing in particular is about all of its namespace, and nothing else",
		steps: []step{
			apply(
				override("all", `resourceSelectors: null, overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {stage: test}}]}}]`),
				policy("p", to(alpha)), deployment("web", 1), configMap("settings"),
			),
			see(field(alpha, "deployment/web", ".metadata.labels.stage", "test"), field(alpha, "configmap/settings", ".metadata.labels.stage", "test"), field(alpha, "namespace/$NS", ".metadata.labels.stage", "")),
		},
	},
	"OverrideComesAndGoes": {
		reason: "an override takes effect on what is there, changes with its policy, and is undone with it",
		steps: []step{
			apply(policy("p", to(alpha)), deployment("web", 1)),
			see(field(alpha, "deployment/web", image, "registry.example.com/team/web:v1")),
			apply(override("tag", `overrideRules: [{overriders: {imageOverrider: [{component: Tag, operator: replace, value: v2}]}}]`)),
			see(field(alpha, "deployment/web", image, "registry.example.com/team/web:v2")),
			apply(override("tag", `overrideRules: [{overriders: {imageOverrider: [{component: Tag, operator: replace, value: v3}]}}]`)),
			see(field(alpha, "deployment/web", image, "registry.example.com/team/web:v3")),
			remove("overridepolicy/tag"),
			see(field(alpha, "deployment/web", image, "registry.example.com/team/web:v1"), available("deployment/web", "1")),
		},
	},
	"OverrideFollowsLabels": {
		reason: "an override for members by label comes and goes with the label",
		steps: []step{
			apply(
				override("marked", `overrideRules: [{targetCluster: {labelSelector: {matchLabels: {e2e.fleet.dev/marked: "yes"}}}, overriders: {labelsOverrider: [{operator: add, value: {marked: member}}]}}]`),
				policy("p", to(alpha, bravo)), deployment("web", 1),
			),
			see(placed("deployment/web", on{alpha: 1, bravo: 1})),
			runs("kubectl label cluster bravo e2e.fleet.dev/marked=yes"),
			see(field(bravo, "deployment/web", ".metadata.labels.marked", "member"), field(alpha, "deployment/web", ".metadata.labels.marked", "")),
			runs("kubectl label cluster bravo e2e.fleet.dev/marked-"),
			see(field(bravo, "deployment/web", ".metadata.labels.marked", "")),
		},
	},
	"OverrideFails": {
		reason: "a patch that does not fit one member fails there alone, says so, and is made good",
		steps: []step{
			apply(
				override("wrong", `overrideRules: [{targetCluster: {clusterNames: [bravo]}, overriders: {plaintext: [{path: /spec/paused, operator: remove}]}}]`),
				policy("p", to(alpha, bravo)), deployment("web", 1),
			),
			see(
				decidedOn("deployment/web", on{alpha: 0, bravo: 0}, alpha),
				condition("deployment/web", "FullyApplied", "False FullyAppliedFailed", `not rendered for bravo: apply override "$NS/wrong": plaintext`),
				field(theFleet, "resourcebinding/web-deployment", `.status.aggregatedStatus[?(@.clusterName=="alpha")].applied`, "true"),
			),
			runs("kubectl set image deployment/web main=nginx:2"),
			see(field(alpha, "deployment/web", image, "nginx:2")),
			apply(override("wrong", `overrideRules: [{targetCluster: {clusterNames: [bravo]}, overriders: {plaintext: [{path: /spec/paused, operator: add, value: true}]}}]`)),
			see(placed("deployment/web", on{alpha: 1, bravo: 1}), field(bravo, "deployment/web", ".spec.paused", "true"), field(bravo, "deployment/web", image, "nginx:2"),
				condition("deployment/web", "FullyApplied", "True FullyAppliedSuccess", "")),
		},
	},
	"OverrideExpressionFails": {
		reason: "an expression that makes no sense for one member fails there alone, until the member has what it asks for",
		steps: []step{
			runs("kubectl label cluster alpha e2e.fleet.dev/stage=canary"),
			apply(
				override("stage", `overrideRules: [{overriders: {expression: 'Object{metadata: Object.metadata{labels: {"stage": cluster.metadata.labels["e2e.fleet.dev/stage"]}}}'}}]`),
				policy("p", to(alpha, bravo)), deployment("web", 1),
			),
			see(
				field(alpha, "deployment/web", ".metadata.labels.stage", "canary"), decidedOn("deployment/web", on{alpha: 0, bravo: 0}, alpha),
				condition("deployment/web", "FullyApplied", "False FullyAppliedFailed", "not rendered for bravo"),
			),
			runs("kubectl label cluster bravo e2e.fleet.dev/stage=main"),
			see(field(bravo, "deployment/web", ".metadata.labels.stage", "main"), condition("deployment/web", "FullyApplied", "True FullyAppliedSuccess", "")),
		},
	},
	"OverrideWhileTemplateChanges": {
		reason: "two members are overridden differently while the template changes; both end right",
		steps: []step{
			apply(
				override("each", `overrideRules: [
					{targetCluster: {clusterNames: [alpha]}, overriders: {imageOverrider: [{component: Registry, operator: replace, value: a.example.com}]}},
					{targetCluster: {clusterNames: [bravo]}, overriders: {imageOverrider: [{component: Registry, operator: replace, value: b.example.com}]}}]`),
				policy("p", to(alpha, bravo)), deployment("web", 1),
			),
			runs("kubectl set image deployment/web main=registry.example.com/team/web:v2"),
			apply(override("each", `overrideRules: [
				{targetCluster: {clusterNames: [alpha]}, overriders: {imageOverrider: [{component: Registry, operator: replace, value: a2.example.com}]}},
				{targetCluster: {clusterNames: [bravo]}, overriders: {imageOverrider: [{component: Registry, operator: replace, value: b2.example.com}]}}]`)),
			runs("kubectl set image deployment/web main=registry.example.com/team/web:v3"),
			runs("kubectl set env deployment/web STAGE=final"),
			see(
				field(alpha, "deployment/web", image, "a2.example.com/team/web:v3"), field(bravo, "deployment/web", image, "b2.example.com/team/web:v3"),
				field(alpha, "deployment/web", ".spec.template.spec.containers[0].env[0].value", "final"), field(bravo, "deployment/web", ".spec.template.spec.containers[0].env[0].value", "final"),
				available("deployment/web", "1"),
			),
		},
	},
	"OverrideIsChecked": {
		reason: "an override that could never work is refused with the path of the field",
		steps: []step{
			refused(override("o", `overrideRules: [{overriders: {plaintext: [{path: /metadata/name, operator: replace, value: x}]}}]`), "spec.overrideRules[0].overriders.plaintext[0].path: Forbidden"),
			refused(override("o", `overrideRules: [{overriders: {expression: 'Object{metadata: Object.metadata{labels: {"a": cluster.spec.regoin}}}'}}]`), "undefined field 'regoin'"),
			refused(override("o", `overrideRules: [{overriders: {}}]`), "spec.overrideRules[0].overriders: Required"),
		},
	},
}
