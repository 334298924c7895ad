// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Objects of automaticCases.
const (
	service     = `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}`
	ingress     = `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}}`
	account     = `{apiVersion: v1, kind: ServiceAccount, metadata: {name: runner}}`
	role        = `{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader}, rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]}`
	grant       = `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}, subjects: [{kind: ServiceAccount, name: runner, namespace: $NS}]}`
	userGrant   = `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: people}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}, subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: jane}]}`
	netPolicy   = `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed}, spec: {podSelector: {}}}`
	budget      = `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: web}, spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}}`
	secret      = `{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {password: secret}}`
	claim       = `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`
	autoscaler  = `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`
	lease       = `{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: leader}, spec: {holderIdentity: me}}`
	helmRelease = `{apiVersion: v1, kind: Secret, type: helm.sh/release.v1, metadata: {name: sh.helm.release.v1.web.v1}, stringData: {release: H4sI}}`
	mountsClaim = `{spec: {template: {spec: {volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]}}}}`
)

// automaticCases are about what happens without any policy, kind by kind.
var automaticCases = map[string]testCase{
	"Deployment": {
		reason: "divided by what is free",
		nodes:  nodes{alpha: {"cpu=6"}, bravo: {"cpu=3"}, charlie: {"cpu=3"}},
		steps: []step{
			apply(pooled(deployment("web", 4))),
			see(placed("deployment/web", on{alpha: 2, bravo: 1, charlie: 1}), available("deployment/web", "4"), scheduled("deployment/web", "True Success", "")),
		},
	},
	"DeploymentBeyondCapacity": {
		reason: "without a policy what does not fit is placed all the same, and starts when there is room",
		nodes:  nodes{alpha: {"cpu=1"}, bravo: {"cpu=1"}},
		steps: []step{
			apply(pooled(deployment("web", 4))),
			see(sums("deployment/web", 4, alpha, bravo), available("deployment/web", "2")),
		},
	},
	"ReplicaSet": {
		reason: "divided like a Deployment",
		steps: []step{
			apply(workload("ReplicaSet", "web", 6)),
			see(sums("replicaset/web", 6, alpha, bravo, charlie), available("replicaset/web", "6")),
		},
	},
	"StatefulSet": {
		reason: "one member: its Pods have names, and volumes",
		steps: []step{
			apply(statefulSet("db", 3)),
			see(onOne("statefulset/db"), available("statefulset/db", "3")),
		},
	},
	"DaemonSet": {
		reason: "every member it tolerates",
		steps: []step{
			apply(daemonSet("agent")),
			see(placed("daemonset/agent", everywhere), field(theFleet, "daemonset/agent", ".status.numberReady", "9")),
		},
	},
	"Job": {
		reason: "one member, once; when it has run it is not run again, whatever happens",
		steps: []step{
			runs("kubectl annotate namespace $NS fleet.dev/clusters=tier=gold,env=prod"),
			// The probe shows that the namespace was heard, here and below.
			apply(deployment("probe", 1)),
			see(placed("deployment/probe", on{alpha: 1})),
			apply(job("migrate")),
			see(onOne("job/migrate"), field(theFleet, "job/migrate", ".status.succeeded", "1")),
			runs("kubectl wait --for=condition=Complete job/migrate --timeout=60s", "condition met"),
			runs("kubectl annotate namespace $NS --overwrite fleet.dev/clusters=env=stage"),
			see(placed("deployment/probe", on{charlie: 1})),
			stays(onOne("job/migrate"), field(alpha, "job/migrate", ".status.succeeded", "1")),
		},
	},
	"CronJob": {
		reason: "one member: it makes each Job once",
		steps: []step{
			apply(manifest(`{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {spec: {
				restartPolicy: Never, containers: [{name: main, image: busybox}]}}}}}}`)),
			see(onOne("cronjob/nightly")),
		},
	},
	"Pod": {
		reason: "one member, and its status comes back",
		steps: []step{
			apply(manifest(`{apiVersion: v1, kind: Pod, metadata: {name: one}, spec: {containers: [{name: main, image: nginx}]}}`)),
			see(onOne("pod/one"), field(theFleet, "pod/one", ".status.phase", "Running")),
		},
	},
	"VolumeClaim": {
		reason: "a claim is nowhere before a Pod mounts it, and then where the Pod is, which is one member",
		steps: []step{
			apply(manifest(claim), deployment("probe", 3), configMap("probe")),
			see(placed("configmap/probe", everywhere)),
			stays(nowhere("persistentvolumeclaim/data")),
			apply(deployment("web", 2).with(mountsClaim)),
			see(onOne("deployment/web"), alike("deployment/web", "persistentvolumeclaim/data"), available("deployment/web", "2"),
				field(theFleet, "persistentvolumeclaim/data", ".status.phase", "Bound")),
			apply(deployment("second", 1).with(mountsClaim)),
			see(alike("deployment/web", "deployment/second")),
		},
	},
	"Footprint": {
		reason: "configuration is nowhere before its namespace has a workload, and then where that is",
		steps: []step{
			apply(
				policy("p", to(alpha)),
				configMap("settings"), manifest(secret), manifest(service), manifest(ingress), manifest(account), manifest(role), manifest(grant), manifest(netPolicy), manifest(budget),
			),
			stays(nowhere("configmap/settings", "secret/keys", "service/web", "ingress/web", "serviceaccount/runner", "role/reader", "rolebinding/reader", "namespace/$NS")),
			apply(deployment("web", 1)),
			see(
				placed("deployment/web", on{alpha: 1}),
				placed("configmap/settings", on{alpha: 0}), placed("secret/keys", on{alpha: 0}), placed("service/web", on{alpha: 0}), placed("ingress/web", on{alpha: 0}),
				placed("serviceaccount/runner", on{alpha: 0}), placed("role/reader", on{alpha: 0}), placed("rolebinding/reader", on{alpha: 0}),
				placed("networkpolicy/closed", on{alpha: 0}), placed("poddisruptionbudget/web", on{alpha: 0}),
				field(alpha, "namespace/$NS", ".status.phase", "Active"),
			),
		},
	},
	"FootprintGrows": {
		reason: "configuration follows its workloads, and stays where they were",
		steps: []step{
			apply(policy("p", to(alpha)), deployment("web", 1), configMap("settings")),
			see(placed("configmap/settings", on{alpha: 0})),
			apply(policy("p", to(bravo))),
			see(placed("deployment/web", on{bravo: 1}), placed("configmap/settings", on{alpha: 0, bravo: 0})),
			apply(daemonSet("agent")),
			see(placed("configmap/settings", everywhere)),
		},
	},
	"NeverPropagated": {
		reason: "what belongs to the fleet stays there, beside a workload that is everywhere",
		steps: []step{
			apply(daemonSet("agent"), manifest(autoscaler), manifest(lease), manifest(helmRelease), manifest(role), manifest(userGrant), manifest(grant), manifest(account)),
			see(placed("role/reader", everywhere), placed("rolebinding/reader", everywhere)),
			stays(nowhere("horizontalpodautoscaler/web", "lease/leader", "secret/sh.helm.release.v1.web.v1", "rolebinding/people")),
			func(t *testing.T, s *story) {
				t.Helper()
				s.keepsOwn(t, "configmap/kube-root-ca.crt", "serviceaccount/default")
			},
		},
	},
	"NamedByPolicy": {
		reason: "what stays by default goes where a policy says that names its kind",
		steps: []step{
			apply(
				policy("p", `resourceSelectors: [
					{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler}, {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, name: people}], `+to(alpha, bravo)),
				manifest(autoscaler), manifest(userGrant),
			),
			see(placed("horizontalpodautoscaler/web", on{alpha: 0, bravo: 0}), placed("rolebinding/people", on{alpha: 0, bravo: 0})),
		},
	},
	"ClusterScoped": {
		reason: "cluster-scoped configuration is everywhere; a binding to people stays",
		steps: []step{
			apply(
				manifest(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: $NS}, rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]}`),
				manifest(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: $NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $NS}, subjects: [{kind: ServiceAccount, name: runner, namespace: $NS}]}`),
				manifest(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: $NS-people}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $NS}, subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: people}]}`),
				manifest(`{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: $NS}, value: 5}`),
			),
			see(placed("clusterrole/$NS", everywhere), placed("clusterrolebinding/$NS", everywhere), placed("priorityclass/$NS", everywhere)),
			stays(nowhere("clusterrolebinding/$NS-people")),
		},
	},
	"CustomResource": {
		reason: "a definition is everywhere; its objects too, and with workloads in their namespace where those are",
		steps: []step{
			apply(definition("Gadget", "gadgets")),
			runs("kubectl wait --for=condition=Established crd/gadgets.placement.example.com --timeout=60s"),
			see(placed("customresourcedefinition/gadgets.placement.example.com", everywhere)),
			apply(manifest(`{apiVersion: placement.example.com/v1, kind: Gadget, metadata: {name: one}, spec: {size: 1}}`)),
			see(placed("gadget/one", everywhere)),
			remove("gadget/one"),
			see(nowhere("gadget/one")),
			apply(policy("p", to(bravo)), deployment("web", 1)),
			see(placed("deployment/web", on{bravo: 1})),
			apply(manifest(`{apiVersion: placement.example.com/v1, kind: Gadget, metadata: {name: two}, spec: {size: 2}}`)),
			see(placed("gadget/two", on{bravo: 0})),
		},
	},
}

// definition is a CustomResourceDefinition.
func definition(kind, plural string) object {
	return manifest(fmt.Sprintf(`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %s.placement.example.com}, spec: {
		group: placement.example.com, scope: Namespaced, names: {kind: %s, plural: %s}, versions: [{name: v1, served: true, storage: true,
		subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, properties: {
			spec: {type: object, x-kubernetes-preserve-unknown-fields: true}, status: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}}]}}`, plural, kind, plural))
}

// keepsOwn checks that objects, which every cluster makes for itself, are those of
// the members.
func (s *story) keepsOwn(t *testing.T, refs ...string) {
	t.Helper()
	for _, ref := range refs {
		if err := nowhereDecided(ref)(t.Context(), s); err != nil {
			t.Error(err)
		}
		for _, m := range bed.members[:3] {
			found, err := s.in(t.Context(), m.memberObjects, parse(ref))
			if err != nil {
				t.Errorf("read from %s: %v", m.Name(), err)
				continue
			}
			if slices.ContainsFunc(found.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == "fleet" }) {
				t.Errorf("the fleet wrote %s of %s", ref, m.Name())
			}
		}
	}
}

// nowhereDecided checks that nobody decided that an object be anywhere.
func nowhereDecided(ref string) check {
	return func(ctx context.Context, s *story) error {
		got, err := s.decided(ctx, parse(ref))
		if err == nil && len(got) > 0 {
			err = fmt.Errorf("%s is to be on %s", ref, got)
		}
		return err
	}
}
