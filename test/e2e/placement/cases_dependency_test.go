// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

// needsAll has the Pods of a workload refer to one object of each kind.
const needsAll = `{spec: {template: {spec: {serviceAccountName: runner,
	containers: [{name: main, image: nginx, envFrom: [{configMapRef: {name: settings}}], env: [{name: KEY, valueFrom: {secretKeyRef: {name: keys, key: password}}}]}],
	volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]}}}}`

// elsewhere keeps what workloads refer to in a member of its own, so that it goes
// to others for the workloads alone.
var elsewhere = policy("elsewhere", `resourceSelectors: [{apiVersion: v1, kind: ConfigMap}, {apiVersion: v1, kind: Secret}, {apiVersion: v1, kind: ServiceAccount}, {apiVersion: v1, kind: PersistentVolumeClaim}], `+to(charlie))

// dependencyCases are about what goes along with a workload.
var dependencyCases = map[string]testCase{
	"Dependencies": {
		reason: "what the Pods of a workload refer to goes with it, follows it, and goes when nobody needs it",
		steps: []step{
			apply(elsewhere, configMap("settings"), manifest(secret), manifest(account), manifest(claim)),
			see(placed("configmap/settings", on{charlie: 0}), placed("secret/keys", on{charlie: 0}), placed("serviceaccount/runner", on{charlie: 0}), placed("persistentvolumeclaim/data", on{charlie: 0})),
			apply(policy("p", "propagateDeps: true, "+to(alpha)), deployment("web", 1).with(needsAll)),
			see(
				placed("deployment/web", on{alpha: 1}),
				placed("configmap/settings", on{alpha: 0, charlie: 0}), placed("secret/keys", on{alpha: 0, charlie: 0}),
				placed("serviceaccount/runner", on{alpha: 0, charlie: 0}), placed("persistentvolumeclaim/data", on{alpha: 0, charlie: 0}),
				available("deployment/web", "1"),
			),
			apply(policy("p", "propagateDeps: true, "+to(bravo))),
			see(placed("deployment/web", on{bravo: 1}), placed("configmap/settings", on{bravo: 0, charlie: 0}), placed("secret/keys", on{bravo: 0, charlie: 0})),
			remove("deployment/web"),
			see(placed("configmap/settings", on{charlie: 0}), placed("secret/keys", on{charlie: 0}), placed("serviceaccount/runner", on{charlie: 0}), placed("persistentvolumeclaim/data", on{charlie: 0})),
		},
	},
	"DependenciesNotAsked": {
		reason: "without propagateDeps nothing goes along that a policy keeps elsewhere",
		steps: []step{
			apply(elsewhere, configMap("settings"), manifest(secret), manifest(account), manifest(claim), policy("p", to(alpha)), deployment("web", 1).with(needsAll)),
			see(placed("deployment/web", on{alpha: 1}), placed("configmap/settings", on{charlie: 0}), placed("secret/keys", on{charlie: 0})),
			stays(placed("configmap/settings", on{charlie: 0}), placed("secret/keys", on{charlie: 0})),
		},
	},
	"DependencyShared": {
		reason: "what two workloads need is where either is, and goes with the last of them",
		steps: []step{
			apply(
				elsewhere, configMap("settings"),
				policy("p", "propagateDeps: true, "+to(alpha)), deployment("web", 1).with(`{spec: {template: {spec: {containers: [{name: main, image: nginx, envFrom: [{configMapRef: {name: settings}}]}]}}}}`),
				policy("q", selects("apps/v1", "Deployment", ", name: api")+", propagateDeps: true, "+to(alpha, bravo)), deployment("api", 1).with(`{spec: {template: {spec: {volumes: [{name: settings, configMap: {name: settings}}]}}}}`),
			),
			see(placed("configmap/settings", on{alpha: 0, bravo: 0, charlie: 0}), placed("deployment/web", on{alpha: 1}), placed("deployment/api", on{alpha: 1, bravo: 1})),
			remove("deployment/api"),
			see(placed("configmap/settings", on{alpha: 0, charlie: 0})),
			remove("deployment/web"),
			see(placed("configmap/settings", on{charlie: 0})),
		},
	},
	"DependencyLate": {
		reason: "what comes after the workload that needs it goes there at once, and so does what it comes to need",
		steps: []step{
			apply(elsewhere, policy("p", "propagateDeps: true, "+to(alpha)), deployment("web", 1).with(`{spec: {template: {spec: {containers: [{name: main, image: nginx, envFrom: [{configMapRef: {name: settings}}]}]}}}}`)),
			see(placed("deployment/web", on{alpha: 1})),
			apply(configMap("settings"), manifest(secret)),
			see(placed("configmap/settings", on{alpha: 0, charlie: 0}), placed("secret/keys", on{charlie: 0})),
			apply(deployment("web", 1).with(`{spec: {template: {spec: {containers: [{name: main, image: nginx, envFrom: [{secretRef: {name: keys}}]}]}}}}`)),
			see(placed("configmap/settings", on{charlie: 0}), placed("secret/keys", on{alpha: 0, charlie: 0})),
		},
	},
	"DependencySelectors": {
		reason: "Services and budgets that select the Pods go along, the Ingress in front of the Service, and what that refers to",
		steps: []step{
			apply(
				policy("elsewhere", `resourceSelectors: [{apiVersion: v1, kind: Service}, {apiVersion: v1, kind: Secret}, {apiVersion: policy/v1, kind: PodDisruptionBudget}, {apiVersion: networking.k8s.io/v1, kind: Ingress}], `+to(charlie)),
				manifest(service), manifest(budget), manifest(secret).with(`{metadata: {name: cert}, type: kubernetes.io/tls, stringData: {password: null, tls.crt: "", tls.key: ""}}`),
				manifest(ingress).with(`{spec: {tls: [{hosts: [web.example.com], secretName: cert}]}}`),
				manifest(service).with(`{metadata: {name: other}, spec: {selector: {app: other}}}`),
				policy("p", "propagateDeps: true, "+to(alpha)), deployment("web", 1),
			),
			see(
				placed("deployment/web", on{alpha: 1}),
				placed("service/web", on{alpha: 0, charlie: 0}), placed("poddisruptionbudget/web", on{alpha: 0, charlie: 0}),
				placed("ingress/web", on{alpha: 0, charlie: 0}), placed("secret/cert", on{alpha: 0, charlie: 0}), placed("service/other", on{charlie: 0}),
			),
			patch("service/other", "{spec: {selector: {app: web}}}"),
			patch("service/web", "{spec: {selector: {app: nobody}}}"),
			see(placed("service/other", on{alpha: 0, charlie: 0}), placed("service/web", on{charlie: 0}), placed("ingress/web", on{charlie: 0}), placed("secret/cert", on{charlie: 0})),
		},
	},
	"DependencyAutoscaler": {
		reason: "an autoscaler goes along with what it scales, and the number of replicas there is its to set",
		steps: []step{
			apply(manifest(autoscaler), policy("p", "propagateDeps: true, "+to(alpha)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1}), placed("horizontalpodautoscaler/web", on{alpha: 0})),
			patchIn(alpha, "deployment/web", "{spec: {replicas: 3}}"),
			runs("kubectl label deployment web changed=yes"),
			see(field(alpha, "deployment/web", ".metadata.labels.changed", "yes"), field(alpha, "deployment/web", ".spec.replicas", "3")),
			stays(field(alpha, "deployment/web", ".spec.replicas", "3")),
		},
	},
	"DependenciesTurnedOff": {
		reason: "a policy that stops asking for it takes back what went along",
		steps: []step{
			apply(
				elsewhere, configMap("settings"), policy("p", "propagateDeps: true, "+to(alpha)),
				deployment("web", 1).with(`{spec: {template: {spec: {containers: [{name: main, image: nginx, envFrom: [{configMapRef: {name: settings}}]}]}}}}`),
			),
			see(placed("configmap/settings", on{alpha: 0, charlie: 0})),
			apply(policy("p", "propagateDeps: false, "+to(alpha))),
			see(placed("configmap/settings", on{charlie: 0}), placed("deployment/web", on{alpha: 1})),
		},
	},
}
