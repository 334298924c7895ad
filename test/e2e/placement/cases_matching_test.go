// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// matchingCases are about which policy a template follows.
var matchingCases = map[string]testCase{
	"NamespacedBeforeCluster": {
		reason: "a policy of the namespace wins over a cluster policy of any priority",
		steps: []step{
			apply(clusterPolicy("wide", "priority: 100, "+to(alpha)), policy("own", to(bravo)), deployment("web", 1)),
			see(placed("deployment/web", on{bravo: 1}), follows("deployment/web", "own")),
		},
	},
	"ExplicitPriority": {
		reason: "the higher priority wins over the more precise selector",
		steps: []step{
			apply(
				policy("by-name", to(alpha)),
				policy("by-kind", "priority: 1, "+selects("apps/v1", "Deployment", "")+", "+to(bravo)),
				deployment("web", 1),
			),
			see(placed("deployment/web", on{bravo: 1}), follows("deployment/web", "by-kind")),
		},
	},
	"ImplicitPriority": {
		reason: "among equals a name wins over labels, labels over a kind",
		steps: []step{
			apply(
				policy("a-kind", selects("apps/v1", "Deployment", "")+", "+to(alpha)),
				policy("b-labels", selects("apps/v1", "Deployment", ", labelSelector: {matchLabels: {size: big}}")+", "+to(bravo)),
				policy("c-name", to(charlie)),
				deployment("any", 1), deployment("labelled", 1).labelled("size", "big"), deployment("web", 1).labelled("size", "big"),
			),
			see(
				placed("deployment/any", on{alpha: 1}), follows("deployment/any", "a-kind"),
				placed("deployment/labelled", on{bravo: 1}), follows("deployment/labelled", "b-labels"),
				placed("deployment/web", on{charlie: 1}), follows("deployment/web", "c-name"),
			),
		},
	},
	"FirstNameAmongEquals": {
		reason: "policies that are alike are told apart by name, not by age",
		steps: []step{
			apply(policy("b", to(bravo)), policy("a", to(alpha)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1}), follows("deployment/web", "a")),
		},
	},
	"AnyKind": {
		reason: "* as apiVersion and kind picks whatever has the label",
		steps: []step{
			apply(
				policy("all", selects("*", "*", ", labelSelector: {matchExpressions: [{key: team, operator: In, values: [blue]}]}")+", "+to(charlie)),
				deployment("web", 1).labelled("team", "blue"), configMap("settings").labelled("team", "blue"),
				manifest(`{apiVersion: v1, kind: Service, metadata: {name: web, labels: {team: blue}}, spec: {selector: {app: web}, ports: [{port: 80}]}}`),
				deployment("other", 3).labelled("team", "red"),
			),
			see(
				placed("deployment/web", on{charlie: 1}), placed("configmap/settings", on{charlie: 0}), placed("service/web", on{charlie: 0}),
				follows("deployment/other", "fleet-default"),
			),
		},
	},
	"AnyKindOfAPI": {
		reason: "* as kind picks the kinds of one API and no others",
		steps: []step{
			apply(
				policy("apps", selects("apps/v1", "*", "")+", "+to(bravo)), policy("maps", selects("v1", "ConfigMap", "")+", "+to(alpha)),
				deployment("web", 1), statefulSet("db", 1), configMap("settings"),
			),
			see(placed("deployment/web", on{bravo: 1}), placed("statefulset/db", on{bravo: 1}), placed("configmap/settings", on{alpha: 0})),
		},
	},
	"SeveralSelectors": {
		reason: "a policy is about everything that one of its selectors picks, and nothing else",
		steps: []step{
			apply(
				policy("some", `resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web}, {apiVersion: v1, kind: ConfigMap, name: settings}], `+to(bravo)),
				deployment("web", 1), configMap("settings"), deployment("other", 1), configMap("others"),
			),
			see(
				placed("deployment/web", on{bravo: 1}), placed("configmap/settings", on{bravo: 0}),
				follows("deployment/other", "fleet-default"), follows("configmap/others", "fleet-default"),
			),
		},
	},
	"Relabelled": {
		reason: "a template that gets a label follows the policy that picks the label, and the default again without",
		steps: []step{
			apply(
				policy("big", selects("apps/v1", "Deployment", ", labelSelector: {matchLabels: {size: big}}")+", "+to(charlie)),
				deployment("web", 3),
			),
			see(sums("deployment/web", 3, alpha, bravo, charlie), follows("deployment/web", "fleet-default")),
			runs("kubectl label deployment web size=big"),
			see(placed("deployment/web", on{charlie: 3}), follows("deployment/web", "big")),
			runs("kubectl label deployment web size-"),
			see(follows("deployment/web", "fleet-default")),
		},
	},
	"NeverPreempts": {
		reason: "a policy of higher priority leaves templates with the policy that has them",
		steps: []step{
			apply(policy("first", to(alpha)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1})),
			apply(
				policy("second", `priority: 10, resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}], `+to(bravo)),
				deployment("probe", 1),
			),
			see(placed("deployment/probe", on{bravo: 1})),
			stays(placed("deployment/web", on{alpha: 1}), follows("deployment/web", "first")),
		},
	},
	"Preempts": {
		reason: "a policy of higher priority that preempts takes templates over; one of the same priority does not",
		steps: []step{
			apply(policy("first", to(alpha)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1})),
			apply(
				policy("equal", `preemption: Always, resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}], `+to(charlie)),
				deployment("probe", 1),
			),
			see(placed("deployment/probe", on{charlie: 1})),
			stays(placed("deployment/web", on{alpha: 1})),
			apply(policy("second", "priority: 10, preemption: Always, "+to(bravo))),
			see(placed("deployment/web", on{bravo: 1}), follows("deployment/web", "second")),
		},
	},
	"NamespacedPreempts": {
		reason: "a policy of the namespace takes over from a cluster policy when it preempts",
		steps: []step{
			apply(clusterPolicy("wide", "priority: 5, "+to(alpha)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1})),
			apply(policy("own", "preemption: Always, "+to(bravo))),
			see(placed("deployment/web", on{bravo: 1}), follows("deployment/web", "own")),
		},
	},
	"Lazy": {
		reason: "a lazy policy that changes waits for the next change of each template",
		steps: []step{
			apply(
				policy("lazy", `activationPreference: Lazy, resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}], `+to(alpha)),
				deployment("web", 1), deployment("probe", 1),
			),
			see(placed("deployment/web", on{alpha: 1}), placed("deployment/probe", on{alpha: 1})),
			apply(policy("lazy", `activationPreference: Lazy, resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}], `+to(bravo))),
			runs("kubectl annotate deployment probe changed=yes"),
			see(placed("deployment/probe", on{bravo: 1})),
			stays(placed("deployment/web", on{alpha: 1})),
			runs("kubectl scale deployment web --replicas=2"),
			see(placed("deployment/web", on{bravo: 2})),
		},
	},
	"DependentOverrides": {
		reason: "nothing is placed before the overrides its policy depends on exist; then it is right at once",
		steps: []step{
			apply(policy("careful", "dependentOverrides: [mirror], "+to(alpha)), deployment("web", 1)),
			see(scheduled("deployment/web", "False Unschedulable", `override policy "mirror", which the policy depends on, does not exist`), nowhere("deployment/web")),
			apply(override("mirror", `overrideRules: [{overriders: {imageOverrider: [{component: Registry, operator: replace, value: mirror.example.com}]}}]`)),
			see(
				placed("deployment/web", on{alpha: 1}), scheduled("deployment/web", "True Success", ""),
				field(alpha, "deployment/web", image, "mirror.example.com/team/web:v1"), field(alpha, "deployment/web", ".metadata.generation", "1"),
			),
		},
	},
	"PolicyDeleted": {
		reason: "a template whose policy is gone falls to the next match",
		steps: []step{
			apply(policy("first", "priority: 2, "+to(alpha)), policy("second", "priority: 1, "+to(bravo)), deployment("web", 2)),
			see(placed("deployment/web", on{alpha: 2})),
			remove("propagationpolicy/first"),
			see(placed("deployment/web", on{bravo: 2}), follows("deployment/web", "second")),
			remove("propagationpolicy/second"),
			see(follows("deployment/web", "fleet-default"), available("deployment/web", "2")),
		},
	},
	"PolicyChanged": {
		reason: "a changed policy moves what follows it at once, and a narrowed one lets go",
		steps: []step{
			apply(policy("p", to(alpha)), deployment("web", 2)),
			see(placed("deployment/web", on{alpha: 2})),
			apply(policy("p", to(bravo, charlie))),
			see(placed("deployment/web", on{bravo: 2, charlie: 2})),
			apply(policy("p", "resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: other}], "+to(bravo))),
			see(follows("deployment/web", "fleet-default")),
		},
	},
	"ClusterPolicy": {
		reason: "a cluster policy picks in the namespaces it names, and cluster-scoped templates",
		steps: []step{
			apply(
				clusterPolicy("wide", `resourceSelectors: [
					{apiVersion: apps/v1, kind: Deployment, namespace: $NS},
					{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, name: $NS-reader}], `+to(charlie)),
				deployment("web", 1),
				manifest(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: $NS-reader}, rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]}`),
			),
			see(placed("deployment/web", on{charlie: 1}), placed("clusterrole/$NS-reader", on{charlie: 0}), follows("clusterrole/$NS-reader", "$NS-wide")),
		},
	},
	"HintDuplicated": {
		reason: "an annotation asks for full copies, without a policy",
		steps: []step{
			apply(deployment("web", 2).annotated("fleet.dev/placement", "duplicated")),
			see(placed("deployment/web", on{alpha: 2, bravo: 2, charlie: 2}), available("deployment/web", "2")),
		},
	},
	"HintSingle": {
		reason: "an annotation asks for one member",
		steps: []step{
			apply(deployment("web", 5).annotated("fleet.dev/placement", "single")),
			see(onOne("deployment/web"), available("deployment/web", "5")),
		},
	},
	"HintDivided": {
		reason: "an annotation has a StatefulSet divided that would be in one member",
		steps: []step{
			apply(statefulSet("db", 6).annotated("fleet.dev/placement", "divided")),
			see(sums("statefulset/db", 6, alpha, bravo, charlie), available("statefulset/db", "6")),
		},
	},
	"HintClusters": {
		reason: "an annotation narrows the members by their labels, and narrows them anew when it changes",
		steps: []step{
			apply(deployment("web", 4).annotated("fleet.dev/clusters", "env=prod")),
			see(sums("deployment/web", 4, alpha, bravo)),
			apply(deployment("web", 4).annotated("fleet.dev/clusters", "env in (stage),tier=gold")),
			see(placed("deployment/web", on{charlie: 4})),
		},
	},
	"HintOnNamespace": {
		reason: "what a namespace says holds for all in it that say nothing themselves",
		steps: []step{
			runs("kubectl annotate namespace $NS fleet.dev/clusters=tier=gold fleet.dev/placement=duplicated"),
			apply(deployment("web", 2), deployment("own", 2).annotated("fleet.dev/clusters", "env=prod").annotated("fleet.dev/placement", "auto"), configMap("settings")),
			see(placed("deployment/web", on{alpha: 2, charlie: 2}), sums("deployment/own", 2, alpha, bravo)),
			runs("kubectl annotate namespace $NS --overwrite fleet.dev/clusters=env=prod"),
			see(placed("deployment/web", on{alpha: 2, bravo: 2})),
		},
	},
	"HintWrong": {
		reason: "a hint that is none is refused where the user looks",
		steps: []step{
			apply(deployment("web", 1).annotated("fleet.dev/placement", "anywhere")),
			see(
				scheduled("deployment/web", "False SchedulerError", `"anywhere" is none of auto, duplicated, divided and single`),
				event("deployment/web", "FailedScheduling", `"anywhere" is none of`), nowhere("deployment/web"),
			),
			apply(deployment("web", 1)),
			see(onOne("deployment/web"), scheduled("deployment/web", "True Success", "")),
		},
	},
	"NoPolicyAtAll": {
		reason:    "without the default nothing moves without a policy; what loses its policy stays where it is, and says so",
		exclusive: true,
		steps: []step{
			withoutDefault,
			apply(policy("p", to(alpha)), deployment("web", 2), deployment("other", 1)),
			see(placed("deployment/web", on{alpha: 2}), available("deployment/web", "2")),
			stays(nowhere("deployment/other")),
			remove("propagationpolicy/p"),
			see(scheduled("deployment/web", "True Success", "no policy matches any more; it stays where it is")),
			runs("kubectl scale deployment web --replicas=3"),
			see(placed("deployment/web", on{alpha: 3})),
			apply(policy("p", to(bravo))),
			see(placed("deployment/web", on{bravo: 3}), available("deployment/web", "3")),
		},
	},
	"OtherScheduler": {
		reason: "what a policy leaves to another scheduler is left alone",
		steps: []step{
			apply(policy("p", "schedulerName: another, "+to(alpha)), deployment("web", 1), policy("q", selects("apps/v1", "Deployment", ", name: probe")+", "+to(alpha)), deployment("probe", 1)),
			see(placed("deployment/probe", on{alpha: 1})),
			stays(nowhere("deployment/web")),
		},
	},
	"SchedulerProfile": {
		reason: "a policy chooses a scheduler by name, with plugins of its own: this one does not look at taints",
		steps: []step{
			writes("scheduler.yaml", `{apiVersion: scheduler.config.fleet.dev/v1alpha1, kind: SchedulerConfiguration, profiles: [
				{schedulerName: reckless, plugins: {disabled: [TaintToleration]}}]}`),
			starts("scheduler --config=$DIR/scheduler.yaml --kubeconfig=$FLEET/kubeconfigs/scheduler.kubeconfig --leader-elect=false --secure-port=0"),
			apply(policy("p", "schedulerName: reckless, "+to(charlie, delta)), deployment("web", 1)),
			see(placed("deployment/web", on{charlie: 1, delta: 1}), available("deployment/web", "1")),
		},
	},
	"PolicyIsChecked": {
		reason: "a policy that makes no sense is refused with the path of the field",
		steps: []step{
			refused(policy("p", "placement: {clusterAffinity: {}, clusterAffinities: [{affinityName: a}]}"), "spec.placement.clusterAffinities: Forbidden"),
			refused(policy("p", "placement: {clusterAffinity: {expression: 'cluster.spec.regoin == \"eu\"'}}"), "undefined field 'regoin'"),
			refused(policy("p", "placement: {colour: blue}"), "field not declared in schema"),
			refused(policy("p", "resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, namespace: elsewhere}]"), "spec.resourceSelectors[0].namespace"),
		},
	},
}

// withoutDefault deletes the policy of the zero-policy behaviour until the case ends.
func withoutDefault(t *testing.T, s *story) {
	t.Helper()
	policies := bed.fleetAPI.PolicyV1alpha1().ClusterPropagationPolicies()
	saved, err := policies.Get(t.Context(), wellknown.DefaultPolicyName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	saved.ObjectMeta = metav1.ObjectMeta{Name: saved.Name}
	t.Cleanup(func() {
		if _, err := policies.Create(context.WithoutCancel(t.Context()), saved, metav1.CreateOptions{}); err != nil {
			t.Errorf("restore the default: %v", err)
		}
	})
	remove("clusterpropagationpolicy/"+wellknown.DefaultPolicyName)(t, s)
}
