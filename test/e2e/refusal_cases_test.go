// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// toMember is a policy that sends an object to the first member. more are fields of its
// spec.
func toMember(apiVersion, kind, name, more string) string {
	return fmt.Sprintf(`
apiVersion: policy.fleet.dev/v1alpha1
kind: PropagationPolicy
metadata: {name: %s-%s}
spec:
  resourceSelectors: [{apiVersion: %s, kind: %s, name: %s}]
  placement: {clusterAffinity: {clusterNames: [member1]}}
  %s
`, name, strings.ToLower(kind), apiVersion, kind, name, more)
}

func configMap(name, data string) string {
	return fmt.Sprintf("\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {%s}\n", name, data)
}

// sent is a ConfigMap that is sent to the first member.
func sent(name, data, more string) string {
	return toMember("v1", "ConfigMap", name, more) + "---" + configMap(name, data)
}

// override changes an object in members.
func override(apiVersion, kind, name, overriders string) string {
	return fmt.Sprintf(`
apiVersion: policy.fleet.dev/v1alpha1
kind: OverridePolicy
metadata: {name: %s}
spec:
  resourceSelectors: [{apiVersion: %s, kind: %s, name: %s}]
  overrideRules: [{overriders: %s}]
`, name, apiVersion, kind, name, overriders)
}

// denying is an admission policy against an object of the namespace.
func (s *space) denying(operation, name, words string) string {
	unique := s.namespace + "-" + name
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [%[2]s], resources: [configmaps]}]}
  matchConditions: [{name: one, expression: "request.namespace == '%[3]s' && request.name == '%[4]s'"}]
  validations: [{expression: "false", message: "%[5]s"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`, unique, operation, s.namespace, name, words)
}

// webhook is the configuration of one that decides about ConfigMaps of the namespace with
// a label.
func (s *space) webhook(label, url, bundle string) string {
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s-%[2]s}
webhooks:
- name: policy.example.com
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  objectSelector: {matchLabels: {webhook: %[2]s}}
  clientConfig: {url: "%[3]s", caBundle: "%[4]s"}
  sideEffects: None
  admissionReviewVersions: [v1]
  timeoutSeconds: 5
  failurePolicy: Fail
`, s.namespace, label, url, bundle)
}

// startWebhook starts one that denies everything, and returns its URL and who signed its
// certificate.
func startWebhook(t *testing.T) (url, bundle string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "nothing on Fridays"}}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	server.TLS.MinVersion = tls.VersionTLS12
	t.Cleanup(server.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server.URL, base64.StdEncoding.EncodeToString(certificate)
}

const (
	deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template: {metadata: {labels: {app: NAME, tier: back}}, spec: {containers: [{name: main, image: nginx}]}}
`
	job = `
apiVersion: batch/v1
kind: Job
metadata: {name: NAME}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}}
`
	statefulSet = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  replicas: 0
  serviceName: NAME
  selector: {matchLabels: {app: NAME}}
  template: {metadata: {labels: {app: NAME}}, spec: {containers: [{name: main, image: nginx}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
`
	secret = `
apiVersion: v1
kind: Secret
metadata: {name: NAME}
type: example.com/one
`
	service = `
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: NAME}, ports: [{port: 80}]}
`
	cronJob = `
apiVersion: batch/v1
kind: CronJob
metadata: {name: NAME}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}}}}
`
	claim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
`
	// widgets define a kind; the member's definition lacks the field colour.
	widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}COLOUR}}}}}
`
)

// named fills in the name.
func named(manifest, name string) string { return strings.ReplaceAll(manifest, "NAME", name) }

// applied has the fleet have an object first.
func applied(manifest string) func(*testing.T, *space) {
	return func(t *testing.T, s *space) {
		t.Helper()
		s.mustApply(t, manifest)
	}
}

// arrived has a member have an object first.
func arrived(object, manifest string) func(*testing.T, *space) {
	return func(t *testing.T, s *space) {
		t.Helper()
		s.mustApply(t, manifest)
		s.awaitApplied(t, object)
	}
}

// beside puts an object into the member first.
func beside(manifest string) func(*testing.T, *space) {
	return func(t *testing.T, s *space) {
		t.Helper()
		s.onMember(t, manifest)
	}
}

// refusals are the cases.
var refusals = map[string]refusalCase{
	// What the fleet refuses.
	"UnknownField": {
		when:     "a manifest has a field that does not exist",
		manifest: strings.Replace(named(deployment, "unknown"), "replicas:", "replica:", 1),
		told:     []telling{{inKubectl, `strict decoding error: unknown field "spec.replica"`}},
	},
	"InvalidValue": {
		when:     "a field has an invalid value",
		manifest: strings.Replace(named(deployment, "invalid"), "replicas: 1", "replicas: -1", 1),
		told:     []telling{{inKubectl, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"}},
	},
	"JobTemplate": {
		when:     "the Pod template of a Job is changed",
		prepare:  applied(named(job, "once")),
		manifest: strings.Replace(named(job, "once"), "busybox", "busybox:2", 1),
		told:     []telling{{inKubectl, "field is immutable"}},
	},
	"DeploymentSelector": {
		when:     "the selector of a Deployment is changed",
		prepare:  applied(named(deployment, "selector")),
		manifest: strings.Replace(named(deployment, "selector"), "matchLabels: {app: selector}", "matchLabels: {app: selector, tier: back}", 1),
		told:     []telling{{inKubectl, "field is immutable"}},
	},
	"VolumeClaimTemplates": {
		when:     "the volume claim templates of a StatefulSet are changed",
		prepare:  applied(named(statefulSet, "claims")),
		manifest: strings.Replace(named(statefulSet, "claims"), "storage: 1Gi", "storage: 2Gi", 1),
		told:     []telling{{inKubectl, "updates to statefulset spec for fields other than"}},
	},
	"SecretType": {
		when:     "the type of a Secret is changed",
		prepare:  applied(named(secret, "typed")),
		manifest: strings.Replace(named(secret, "typed"), "example.com/one", "example.com/two", 1),
		told:     []telling{{inKubectl, "type: Invalid value: \"example.com/two\": field is immutable"}},
	},
	"ClusterIP": {
		when:    "the clusterIP of a Service is changed",
		prepare: applied(named(service, "address")),
		args:    []string{"patch", "service", "address", "--patch", `{"spec":{"clusterIP":"None"}}`},
		told:    []telling{{inKubectl, "may not change once set"}},
	},
	"ConfigMapTooLarge": {
		when:     "a ConfigMap has more than 1 MiB of data",
		args:     []string{"create", "-f", "-"},
		manifest: configMap("large", "key: "+strings.Repeat("x", 1<<20+1)),
		told:     []telling{{inKubectl, "Too long: may not be more than 1048576 bytes"}},
	},
	"RequestTooLarge": {
		when:     "an object is larger than any that can be stored",
		args:     []string{"create", "-f", "-"},
		manifest: configMap("huge", "key: "+strings.Repeat("x", 4<<20)),
		told:     []telling{{inKubectl, "Request entity too large"}},
	},
	"NoRights": {
		when: "a user may not do that",
		args: []string{"create", "configmap", "mine", "--as=alice"},
		told: []telling{{inKubectl, `User "alice" cannot create resource "configmaps"`}},
	},
	"FleetAdmission": {
		when: "an admission policy of the fleet denies it",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			policy := s.denying("CREATE", "denied", "not in this fleet")
			s.mustApply(t, policy)
			t.Cleanup(func() { s.kubectlStdin(t, policy, "delete", "-f", "-") })
			s.awaitDenied(t, configMap("denied", ""))
		},
		manifest: configMap("denied", ""),
		told:     []telling{{inKubectl, "denied request: not in this fleet"}},
	},
	"FleetQuota": {
		when: "a quota of the fleet is used up",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			s.mustApply(t, "{apiVersion: v1, kind: ResourceQuota, metadata: {name: fleet}, spec: {hard: {count/leases.coordination.k8s.io: 0}}}")
			s.awaitDenied(t, "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: lease}}")
		},
		manifest: "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: lease}}",
		told:     []telling{{inKubectl, "exceeded quota: fleet"}},
	},
	"Protected": {
		when: "something is deleted that is protected",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			s.mustApply(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: protected, labels: {fleet.dev/deletion-protected: Always}}}")
			t.Cleanup(func() { s.kubectl(t, "label", "configmap", "protected", "fleet.dev/deletion-protected-") })
		},
		args: []string{"delete", "configmap", "protected"},
		told: []telling{{inKubectl, "it is protected by the label fleet.dev/deletion-protected=Always"}},
	},
	"PolicyValue": {
		when:     "a policy says what there is not",
		manifest: toMember("v1", "ConfigMap", "wrong", "recreatePolicy: Sometimes"),
		told:     []telling{{inKubectl, `spec.recreatePolicy: Unsupported value: "Sometimes": supported values: "Never", "OnImmutableChange"`}},
	},
	"NoMember": {
		when:     "no member fits",
		object:   "configmap/nowhere",
		manifest: strings.Replace(sent("nowhere", "", ""), "[member1]", "[nobody]", 1),
		told: []telling{
			{inScheduled, "False NoClusterFit: 0/2 clusters are available"},
			{inEvents, "Warning FailedScheduling: 0/2 clusters are available"},
			{inExplain, "did not match the cluster affinity"},
		},
	},
	"Override": {
		when:     "an override does not fit the object",
		object:   "configmap/unfit",
		manifest: override("v1", "ConfigMap", "unfit", "{plaintext: [{path: /data/nothing, operator: remove}]}") + "---" + sent("unfit", "key: value", ""),
		told: []telling{
			{inReport, "member1: RenderFailed: apply override"},
			{inApplied, "False FullyAppliedFailed: not rendered for member1"},
			{inEvents, `Warning RenderFailed: member "member1": apply override`},
			{inExplain, "In member1: not rendered"},
		},
	},

	// What a member refuses.
	"MemberQuota": {
		when:     "a quota of the member is used up",
		object:   "cronjob/over",
		prepare:  beside("{apiVersion: v1, kind: ResourceQuota, metadata: {name: member}, spec: {hard: {count/cronjobs.batch: 0}}}"),
		manifest: toMember("batch/v1", "CronJob", "over", "") + "---" + named(cronJob, "over"),
		told: []telling{
			{inReport, `member1: Denied: cronjobs.batch "over" is forbidden: exceeded quota: member`},
			{inApplied, "False FullyAppliedFailed: not applied in member1: Denied: "},
			{inEvents, `Warning Denied: member "member1": cronjobs.batch "over" is forbidden: exceeded quota: member`},
			{inExplain, "exceeded quota: member"},
		},
		lift: func(t *testing.T, s *space) {
			t.Helper()
			s.offMember(t, "{apiVersion: v1, kind: ResourceQuota, metadata: {name: member}}")
			s.awaitApplied(t, "cronjob/over")
		},
	},
	"MemberAdmission": {
		when:   "an admission policy of the member denies it",
		object: "configmap/unwanted",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			policy := s.denying("CREATE", "unwanted", "not in this member")
			s.onMember(t, policy)
			member := &space{command: command{kubeconfig: bed.members[0].Kubeconfig()}, namespace: s.namespace}
			member.awaitDenied(t, configMap("unwanted", ""))
		},
		manifest: sent("unwanted", "", ""),
		told: []telling{
			{inReport, "member1: Denied: "},
			{inReport, "denied request: not in this member"},
			{inEvents, `Warning Denied: member "member1": `},
		},
	},
	"MemberWebhook": {
		when:   "a webhook of the member denies it",
		object: "configmap/hooked",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			url, bundle := startWebhook(t)
			s.onMember(t, s.webhook("hooked", url, bundle))
			member := &space{command: command{kubeconfig: bed.members[0].Kubeconfig()}, namespace: s.namespace}
			member.awaitDenied(t, labelled(configMap("hooked", ""), "hooked"))
		},
		manifest: labelled(sent("hooked", "", ""), "hooked"),
		told: []telling{
			{inReport, `member1: Denied: admission webhook "policy.example.com" denied the request: nothing on Fridays`},
			{inEvents, `Warning Denied: member "member1": admission webhook "policy.example.com" denied the request: nothing on Fridays`},
			{inExplain, "nothing on Fridays"},
		},
	},
	"MemberWebhookAway": {
		when:   "a webhook of the member cannot be called",
		object: "configmap/away",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			s.onMember(t, s.webhook("away", "https://127.0.0.1:1/", ""))
			member := &space{command: command{kubeconfig: bed.members[0].Kubeconfig()}, namespace: s.namespace}
			member.awaitDenied(t, labelled(configMap("away", ""), "away"))
		},
		manifest: labelled(sent("away", "", ""), "away"),
		told: []telling{
			{inReport, `member1: AppliedFailed: Internal error occurred: failed calling webhook "policy.example.com"`},
			{inEvents, `Warning AppliedFailed: member "member1": Internal error occurred: failed calling webhook "policy.example.com"`},
		},
		lift: func(t *testing.T, s *space) {
			t.Helper()
			s.offMember(t, s.webhook("away", "https://127.0.0.1:1/", ""))
			s.awaitApplied(t, "configmap/away")
		},
	},
	"MemberLimit": {
		when:     "a limit of the member is exceeded",
		object:   "persistentvolumeclaim/wide",
		prepare:  beside("{apiVersion: v1, kind: LimitRange, metadata: {name: member}, spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 1Gi}}]}}"),
		manifest: toMember("v1", "PersistentVolumeClaim", "wide", "") + "---" + named(claim, "wide"),
		told: []telling{
			{inReport, "maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"},
			{inEvents, `Warning Denied: member "member1": persistentvolumeclaims "wide" is forbidden: maximum storage usage`},
		},
	},
	"ImmutableInMember": {
		when:     "a field is changed that the member takes for immutable",
		object:   "job/fixed",
		prepare:  arrived("job/fixed", toMember("batch/v1", "Job", "fixed", "")+"---"+named(job, "fixed")),
		manifest: override("batch/v1", "Job", "fixed", "{imageOverrider: [{component: Tag, operator: replace, value: '2'}]}"),
		told: []telling{
			{inReport, "member1: Immutable: "},
			{inReport, "field is immutable. The member does not let spec.template be changed: put the former value back, delete the object in the fleet and create it anew, or set recreatePolicy: OnImmutableChange in its policy"},
			{inEvents, `Warning Immutable: member "member1": `},
			{inApplied, "False FullyAppliedFailed: not applied in member1: Immutable: "},
		},
	},
	"Recreated": {
		when:     "the same, and the policy says `recreatePolicy: OnImmutableChange`",
		object:   "configmap/frozen",
		prepare:  arrived("configmap/frozen", strings.Replace(sent("frozen", "key: one", "recreatePolicy: OnImmutableChange"), "\ndata:", "\nimmutable: true\ndata:", 1)),
		manifest: override("v1", "ConfigMap", "frozen", "{plaintext: [{path: /data/key, operator: replace, value: two}]}"),
		told: []telling{
			{inReport, "member1: Recreated: deleted and created anew, because the member does not let data be changed"},
			{inEvents, `Warning Recreated: member "member1": deleted and created anew, because the member does not let data be changed`},
		},
		lift: func(t *testing.T, s *space) {
			t.Helper()
			eventually(t, propagation, "the new one", func(ctx context.Context) error {
				got, err := bed.members[0].memberClient.CoreV1().ConfigMaps(s.namespace).Get(ctx, "frozen", metav1.GetOptions{})
				if err == nil && got.Data["key"] != "two" {
					err = fmt.Errorf("data is %v", got.Data)
				}
				return err
			})
		},
	},
	"ConflictIfNoDiff": {
		when:     "the member has such an object already, and it is different",
		object:   "configmap/taken",
		prepare:  beside(configMap("taken", "key: theirs")),
		manifest: sent("taken", "key: ours", ""),
		told: []telling{
			{inReport, "exists, was not created by the fleet and differs in .data.key"},
			{inEvents, `Warning Conflict: member "member1": ConfigMap`},
			{inDiff, `data.key: "theirs" -> "ours"`},
		},
		lift: func(t *testing.T, s *space) {
			t.Helper()
			s.mustApply(t, sent("taken", "key: theirs", ""))
			s.awaitApplied(t, "configmap/taken")
		},
	},
	"ConflictAbort": {
		when:     "the member has such an object already, and the policy says `conflictResolution: Abort`",
		object:   "configmap/kept",
		prepare:  beside(configMap("kept", "key: same")),
		manifest: sent("kept", "key: same", "conflictResolution: Abort"),
		told: []telling{
			{inReport, "exists and was not created by the fleet; conflictResolution is Abort"},
			{inEvents, `Warning Conflict: member "member1": ConfigMap`},
		},
		lift: func(t *testing.T, s *space) {
			t.Helper()
			s.mustApply(t, toMember("v1", "ConfigMap", "kept", "conflictResolution: Overwrite"))
			s.awaitApplied(t, "configmap/kept")
		},
	},
	"Pruned": {
		when:   "the member does not know a field",
		object: "widget/faded",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			definition := strings.ReplaceAll(widgets, "GROUP", s.namespace+".example.com")
			s.onMember(t, strings.Replace(definition, "COLOUR", "", 1))
			full := strings.Replace(definition, "COLOUR", ", colour: {type: string}", 1)
			s.mustApply(t, full)
			t.Cleanup(func() { s.kubectlStdin(t, full, "delete", "--wait=false", "-f", "-") })
			s.kubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd/widgets."+s.namespace+".example.com")
			widget := fmt.Sprintf("{apiVersion: %s.example.com/v1, kind: Widget, metadata: {name: faded}, spec: {size: 1, colour: red}}", s.namespace)
			eventually(t, propagation, "the kind to be served", func(context.Context) error {
				if out := s.kubectlStdin(t, widget, "apply", "-f", "-"); out.code != 0 {
					return errors.New(out.stderr)
				}
				return nil
			})
			s.mustApply(t, toMember(s.namespace+".example.com/v1", "Widget", "faded", ""))
		},
		args: []string{"get", "widgets"},
		told: []telling{
			{inReport, "member1: Pruned: the member does not know .spec.colour"},
			{inApplied, "in member1: Pruned: the member does not know .spec.colour"},
			{inEvents, `Warning Pruned: member "member1": the member does not know .spec.colour`},
			{inExplain, "the member does not know .spec.colour"},
		},
	},
	"Dropped": {
		when:     "the member drops a field, because it is of a feature that is off there",
		object:   "deployment/plain",
		prepare:  applied(override("apps/v1", "Deployment", "plain", "{plaintext: [{path: /spec/template/spec/schedulingGroup, operator: add, value: {podGroupName: x}}]}")),
		manifest: toMember("apps/v1", "Deployment", "plain", "") + "---" + named(deployment, "plain"),
		told: []telling{
			{inReport, "member1: Pruned: the member takes and drops .spec.template.spec.schedulingGroup.podGroupName"},
			{inEvents, `Warning Pruned: member "member1": the member takes and drops .spec.template.spec.schedulingGroup.podGroupName`},
		},
	},
	"FoughtOver": {
		when:   "somebody in the member keeps changing a field of the fleet's",
		object: "configmap/disputed",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			s.mustApply(t, sent("disputed", "key: ours", ""))
			s.awaitApplied(t, "configmap/disputed")
			s.fight(t, "disputed")
		},
		args: []string{"get", "configmap", "disputed"},
		told: []telling{
			{inDrifted, `True FoughtOver: member1: .data.key is "theirs" and not "ours"`},
			{inReport, "member1: Conflict: somebody else keeps changing in the member: .data.key"},
			{inEvents, `Warning Conflict: member "member1": somebody else keeps changing in the member: .data.key`},
		},
	},
	"MemberKeeps": {
		when:   "the member does not let it be deleted",
		object: "configmap/lasting",
		prepare: func(t *testing.T, s *space) {
			t.Helper()
			s.mustApply(t, sent("lasting", "", ""))
			s.awaitApplied(t, "configmap/lasting")
			policy := s.denying("DELETE", "lasting", "it is needed")
			s.onMember(t, policy)
			member := &space{command: command{kubeconfig: bed.members[0].Kubeconfig()}, namespace: s.namespace}
			eventually(t, propagation, "the admission to act", func(context.Context) error {
				if out := member.tryKubectl(t, "delete", "configmap", "lasting", "--dry-run=server"); out.code == 0 {
					return errors.New("it does not")
				}
				return nil
			})
		},
		args: []string{"delete", "configmap", "lasting"},
		told: []telling{
			{inReport, "denied request: it is needed"},
			{inEvents, `Warning Denied: member "member1": cannot be deleted: `},
		},
		lift: func(t *testing.T, s *space) {
			t.Helper()
			s.offMember(t, s.denying("DELETE", "lasting", "it is needed"))
			s.awaitForgotten(t, "configmap", "lasting")
		},
	},
}

// labelled puts the label that a webhook selects by on ConfigMaps.
func labelled(manifest, value string) string {
	return strings.Replace(manifest, fmt.Sprintf("kind: ConfigMap\nmetadata: {name: %s}", value), fmt.Sprintf("kind: ConfigMap\nmetadata: {name: %s, labels: {webhook: %s}}", value, value), 1)
}

// fight has somebody in the member change a ConfigMap whenever the fleet put it right,
// until the test ends.
func (s *space) fight(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	settings := bed.members[0].memberClient.CoreV1().ConfigMaps(s.namespace)
	go func() {
		defer close(ended)
		_ = await(ctx, cleanUp, func(ctx context.Context) error {
			_, err := settings.Patch(ctx, name, types.MergePatchType, []byte(`{"data":{"key":"theirs"}}`), metav1.PatchOptions{FieldManager: "somebody"})
			return errors.Join(errors.New("it is not over"), err)
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
}
