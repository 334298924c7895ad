// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/e2e/witness"
)

// everyKind has one object of each kind that API servers fill in, in ways of their
// own.
const everyKind = `
apiVersion: v1
kind: Secret
metadata: {name: credentials, namespace: default}
stringData: {password: secret}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner, namespace: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, name: http}, {port: 53, name: dns, protocol: UDP}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: default}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: runner, namespace: default}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec: {rules: [{host: example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec: {minAvailable: 50%, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: default}
spec:
  replicas: 1
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: db, resources: {requests: {cpu: 0.1, memory: 1024Mi}}, volumeMounts: [{name: data, mountPath: /data}]}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: default}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: agent, env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: default}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: migrate, image: migrate}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: report, namespace: default}
spec:
  schedule: "0 3 29 2 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: report, image: report}]}}}}
`

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s, namespace: default, labels: {app: web, tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}
`

func TestSyncer(t *testing.T) {
	s := newStage(t)
	stop := s.sync()
	t.Run("OneDeployment", func(t *testing.T) { s.on(t).oneDeployment() })
	t.Run("Refusals", func(t *testing.T) { s.on(t).refusals() })
	t.Run("Release", func(t *testing.T) { s.on(t).release() })
	t.Run("ResourceBeforeDefinition", func(t *testing.T) { s.on(t).resourceBeforeDefinition() })
	t.Run("MemberAway", func(t *testing.T) { s.on(t).memberAway() })
	t.Run("Restart", func(t *testing.T) { s.on(t).restart(stop) })
}

// oneDeployment follows one Deployment through its life and counts what each step
// asks of the member.
func (s *stage) oneDeployment() {
	mark := s.mark()
	t := s.place(fmt.Sprintf(web, "web"))
	t.reported("ready", applied)
	s.quiet(t)
	s.expect("to create", mark, "deployments", map[string]int{"patch": 1})

	mark = s.mark()
	generation := t.decide(func(spec *workv1alpha1.BindingSpec) {
		spec.RescheduleTriggeredAt = &metav1.Time{Time: metav1.Now().Time}
	})
	t.reported("the new generation", func(item workv1alpha1.AggregatedStatusItem) bool { return item.BindingGeneration == generation })
	s.expect("for a decision that changes nothing", mark, "", map[string]int{})

	mark = s.mark()
	pods, err := s.member.CoreV1().Pods("default").List(s.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	s.must(err)
	s.must(s.member.CoreV1().Pods("default").Delete(s.Context(), pods.Items[0].Name, metav1.DeleteOptions{}))
	s.quiet(t)
	t.reported("ready again", applied)
	s.expect("when only the status changes", mark, "", map[string]int{})

	mark = s.mark()
	s.patchInMember("web", `{"metadata":{"annotations":{"example.com/mine":"yes"}},"spec":{"template":{"spec":{"priorityClassName":"system-cluster-critical"}}}}`)
	s.quiet(t)
	s.expect("for fields of others", mark, "", map[string]int{})

	mark = s.mark()
	s.patchInMember("web", `{"spec":{"replicas":5},"metadata":{"labels":{"tier":null}}}`)
	s.eventually("the drift to be corrected", func(ctx context.Context) error {
		object, err := t.inMember(ctx)
		if err != nil {
			return err
		}
		if n, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas"); n != 2 || object.GetLabels()["tier"] != "front" {
			return fmt.Errorf("replicas %d, labels %v", n, object.GetLabels())
		}
		return nil
	})
	s.quiet(t)
	s.expect("to correct drift", mark, "", map[string]int{"patch": 1})

	mark = s.mark()
	t.edit(func(o *unstructured.Unstructured) { o.SetLabels(map[string]string{"app": "web"}) })
	s.eventually("a label that is not wanted any more to go", func(ctx context.Context) error {
		object, err := t.inMember(ctx)
		if err == nil && object.GetLabels()["tier"] != "" {
			err = errors.New("it is there")
		}
		return err
	})
	s.quiet(t)
	s.expect("to take a field away", mark, "", map[string]int{"patch": 1})
	object, err := t.inMember(s.Context())
	s.must(err)
	if object.GetAnnotations()["example.com/mine"] != "yes" {
		s.Error("somebody's annotation is gone")
	}

	mark = s.mark()
	t.forsake()
	s.expect("to delete", mark, "deployments", map[string]int{"delete": 1})
	if _, err := t.inMember(s.Context()); !apierrors.IsNotFound(err) {
		s.Errorf("the object after its deletion was confirmed: %v", err)
	}
}

// forsake takes the member out of the decision, which leaves the tombstones that are
// asked for, and waits until it confirmed.
func (t *template) forsake(tombstones ...workv1alpha1.Tombstone) {
	t.Helper()
	t.decide(func(spec *workv1alpha1.BindingSpec) { spec.Clusters, spec.Tombstones = nil, tombstones })
	t.eventually("the tombstone to be confirmed", func(ctx context.Context) error {
		binding, err := t.getBinding(ctx)
		if err == nil && len(binding.GetSpec().Tombstones) > 0 {
			err = fmt.Errorf("tombstones: %v", binding.GetSpec().Tombstones)
		}
		return err
	})
}

func (s *stage) patchInMember(name, patch string) {
	s.Helper()
	_, err := s.member.AppsV1().Deployments("default").Patch(s.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	s.must(err)
}

// expect checks what the fleet asked of the member since mark.
func (s *stage) expect(what string, mark witness.Mark, resource string, want map[string]int) {
	s.Helper()
	if diff := cmp.Diff(want, s.asked(mark, resource)); diff != "" {
		requests, err := s.audit.Since(mark, nil)
		s.must(err)
		s.Errorf("requests to the member %s: -want +got:\n%sall requests:\n%v", what, diff, requests)
	}
}

// refusals are works a member does not take.
func (s *stage) refusals() {
	const settings = "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: default}, data: {greeting: hello}}"
	_, err := s.member.CoreV1().ConfigMaps("default").Create(s.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "theirs"}, Data: map[string]string{"greeting": "mine", "more": "mine"},
	}, metav1.CreateOptions{})
	s.must(err)
	theirs := s.place(fmt.Sprintf(settings, "theirs"))
	item := theirs.reported("why not", func(item workv1alpha1.AggregatedStatusItem) bool { return item.AppliedReason != "" })
	if item.Applied || item.AppliedReason != workv1alpha1.AppliedReasonConflict || !strings.Contains(item.AppliedMessage, ".data.greeting") {
		s.Errorf("report on an object of somebody else: %+v, want a conflict that names the field", item)
	}

	// The last word of the member counts, not what the fleet expects.
	fixed := s.place(fmt.Sprintf(settings, "fixed"))
	fixed.reported("applied", applied)
	_, err = s.member.CoreV1().ConfigMaps("default").Patch(s.Context(), "fixed", types.MergePatchType, []byte(`{"immutable":true}`), metav1.PatchOptions{})
	s.must(err)
	fixed.edit(func(o *unstructured.Unstructured) { o.Object["data"] = map[string]any{"greeting": "bye"} })
	item = fixed.reported("why not", func(item workv1alpha1.AggregatedStatusItem) bool { return !item.Applied })
	if item.AppliedReason != workv1alpha1.AppliedReasonImmutable || !strings.Contains(item.AppliedMessage, "immutable") {
		s.Errorf("report on a field that cannot change: %+v, want the member's words", item)
	}
}

// release hands an object over to whoever runs the member.
func (s *stage) release() {
	t := s.place(fmt.Sprintf(web, "released"))
	t.reported("ready", applied)
	s.quiet(t)
	before, err := t.inMember(s.Context())
	s.must(err)
	mark := s.mark()
	t.forsake(workv1alpha1.Tombstone{ClusterName: memberName, UID: t.object.GetUID(), Orphan: true})
	after, err := t.inMember(s.Context())
	s.must(err)
	if diff := cmp.Diff(before.Object["spec"], after.Object["spec"]); diff != "" || after.GetUID() != before.GetUID() {
		s.Errorf("to be released changed the object: -before +after:\n%s", diff)
	}
	for key := range after.GetLabels() {
		if strings.HasPrefix(key, wellknown.Domain) {
			s.Errorf("a released object has the label %s", key)
		}
	}
	trace := []string{wellknown.AnnotationCreatedBy, wellknown.AnnotationTemplateUID}
	for key := range after.GetAnnotations() {
		if strings.HasPrefix(key, wellknown.Domain) && !slices.Contains(trace, key) {
			s.Errorf("a released object has the annotation %s", key)
		}
	}
	for _, entry := range after.GetManagedFields() {
		if entry.Manager == wellknown.FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply {
			s.Errorf("a released object has fields of the fleet: %v", entry)
		}
	}
	s.expect("to release", mark, "deployments", map[string]int{"get": 1, "patch": 1})
}

const (
	widget     = "{apiVersion: shop.example.com/v1, kind: Widget, metadata: {name: sign, namespace: default}, spec: {size: 3}}"
	definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}, color: {type: string, default: red}}}
`
)

// resourceBeforeDefinition sends a custom resource to a member that does not know
// its kind yet.
func (s *stage) resourceBeforeDefinition() {
	crd := &unstructured.Unstructured{}
	s.must(yaml.Unmarshal([]byte(definition), &crd.Object))
	_, err := s.fleet.Dynamic.Resource(resources["CustomResourceDefinition"]).Create(s.Context(), crd, metav1.CreateOptions{})
	s.must(err)
	var t *template
	s.eventually("the fleet to serve the kind", func(ctx context.Context) error {
		_, err := s.fleet.Dynamic.Resource(resources["Widget"]).Namespace("default").List(ctx, metav1.ListOptions{})
		return err
	})
	t = s.place(widget)
	item := t.reported("why not", func(item workv1alpha1.AggregatedStatusItem) bool { return item.AppliedReason != "" })
	if item.AppliedReason != workv1alpha1.AppliedReasonKindNotServed {
		s.Errorf("report: %+v, want %s", item, workv1alpha1.AppliedReasonKindNotServed)
	}
	_, err = s.memory.Resource(resources["CustomResourceDefinition"]).Create(s.Context(), crd, metav1.CreateOptions{})
	s.must(err)
	t.reported("applied once the kind is served", applied)
	s.quiet(t)
	mark := s.mark()
	_, err = s.memory.Resource(resources["Widget"]).Namespace("default").Patch(s.Context(), "sign", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"example.com/mine":"yes"}}}`), metav1.PatchOptions{})
	s.must(err)
	s.quiet(t)
	s.expect("for somebody's label on a custom resource", mark, "", map[string]int{})
}

// memberAway stops the member's API server for a while.
func (s *stage) memberAway() {
	t := s.place(fmt.Sprintf(web, "patient"))
	t.reported("ready", applied)
	s.quiet(t)
	s.must(s.bed.APIServer.Pause())
	t.edit(func(o *unstructured.Unstructured) {
		s.must(unstructured.SetNestedField(o.Object, int64(10), "spec", "revisionHistoryLimit"))
		s.must(unstructured.SetNestedField(o.Object, "2", "spec", "template", "metadata", "labels", "version"))
	})
	s.eventually("the member to be called unreachable", func(ctx context.Context) error {
		cluster, err := s.fleet.Fleet.ClusterV1alpha1().Clusters().Get(ctx, memberName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range cluster.Status.Conditions {
			if condition.Type == "Ready" && condition.Status != metav1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("conditions %v", cluster.Status.Conditions)
	})
	if item := t.reported("what it said before", func(workv1alpha1.AggregatedStatusItem) bool { return true }); !item.Applied {
		s.Errorf("report while the member is away: %+v, want what it said before", item)
	}
	s.must(s.bed.APIServer.Resume())
	s.eventually("the change to arrive", func(ctx context.Context) error {
		object, err := t.inMember(ctx)
		if err != nil {
			return err
		}
		if v, _, _ := unstructured.NestedString(object.Object, "spec", "template", "metadata", "labels", "version"); v != "2" {
			return fmt.Errorf("version is %q", v)
		}
		return nil
	})
}

// restart starts another syncer over objects of every kind. It has to find out
// that there is nothing to do, and do nothing.
func (s *stage) restart(stop func()) {
	var placed []*template
	for manifest := range strings.SplitSeq(everyKind, "---\n") {
		placed = append(placed, s.place(manifest))
	}
	for _, t := range placed {
		t.reported("applied", func(item workv1alpha1.AggregatedStatusItem) bool { return item.Applied })
	}
	s.quiet(placed...)
	stop()
	mark := s.mark()
	before := map[string]string{}
	for _, t := range placed {
		object, err := t.inMember(s.Context())
		s.must(err)
		before[t.binding] = object.GetResourceVersion()
	}
	s.sync()
	// The new syncer has looked at everything when it acts on this.
	last := s.place(strings.Replace(fmt.Sprintf(web, "last"), "replicas: 2", "replicas: 0", 1))
	last.reported("applied", func(item workv1alpha1.AggregatedStatusItem) bool { return item.Applied })
	s.quiet(placed...)
	for _, t := range placed {
		object, err := t.inMember(s.Context())
		s.must(err)
		if object.GetResourceVersion() != before[t.binding] {
			s.Errorf("a restart wrote %s %s", object.GetKind(), object.GetName())
		}
	}
	for _, resource := range []string{
		"secrets", "serviceaccounts", "services", "persistentvolumeclaims", "roles", "rolebindings",
		"networkpolicies", "ingresses", "poddisruptionbudgets", "statefulsets", "daemonsets", "jobs", "cronjobs",
	} {
		s.expect("about "+resource+" after a restart", mark, resource, map[string]int{})
	}
	s.expect("about Deployments after a restart, for the new one", mark, "deployments", map[string]int{"patch": 1})
}
