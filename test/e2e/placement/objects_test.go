// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// object is a manifest in YAML and what is merged into it. In it $NS stands for
// the namespace of the case.
type object struct {
	manifest string
	merged   []string
}

// manifest is an object as it stands.
func manifest(text string) object { return object{manifest: text} }

// with is the object with more merged into it, as by "kubectl patch --type=merge".
func (o object) with(more ...string) object {
	return object{manifest: o.manifest, merged: append(slices.Clip(o.merged), more...)}
}

// in is the object in the namespace of a case. It panics on what is no YAML.
func (o object) in(s *story) *unstructured.Unstructured {
	data := mustJSON(s.fill(o.manifest))
	for _, more := range o.merged {
		merged, err := jsonpatch.MergePatch(data, mustJSON(s.fill(more)))
		if err != nil {
			panic(fmt.Sprintf("merge %s: %v", more, err))
		}
		data = merged
	}
	out := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &out.Object); err != nil {
		panic(fmt.Sprintf("read %s: %v", data, err))
	}
	resource, err := resourceOf(out.GroupVersionKind())
	if err != nil {
		panic(err)
	}
	if resource.namespaced && out.GetNamespace() == "" {
		out.SetNamespace(s.namespace)
	}
	return out
}

// fill puts the namespace of the case in, and where its files and the fleet's are.
func (s *story) fill(text string) string {
	return strings.NewReplacer("$NS", s.namespace, "$DIR", s.dir, "$FLEET", s.fleetDir).Replace(text)
}

func mustJSON(text string) []byte {
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("read %s: %v", text, err))
	}
	return data
}

func yamlToJSON(t *testing.T, text string) []byte {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("read %s: %v", text, err)
	}
	return data
}

// podTemplate is a Pod that runs until it is stopped.
func podTemplate(app string) string {
	return fmt.Sprintf(`{metadata: {labels: {app: %s}}, spec: {containers: [{name: main, image: "registry.example.com/team/web:v1"}]}}`, app)
}

func workload(kind, name string, replicas int) object {
	return manifest(fmt.Sprintf(`{apiVersion: apps/v1, kind: %s, metadata: {name: %s, labels: {app: %s}}, spec: {replicas: %d, selector: {matchLabels: {app: %s}}, template: %s}}`,
		kind, name, name, replicas, name, podTemplate(name)))
}

func deployment(name string, replicas int) object { return workload("Deployment", name, replicas) }

func statefulSet(name string, replicas int) object {
	return workload("StatefulSet", name, replicas).with(fmt.Sprintf(`{spec: {serviceName: %s}}`, name))
}

func daemonSet(name string) object {
	return manifest(fmt.Sprintf(`{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: %s}, spec: {selector: {matchLabels: {app: %s}}, template: %s}}`, name, name, podTemplate(name)))
}

// job ends well.
func job(name string) object {
	return manifest(fmt.Sprintf(`{apiVersion: batch/v1, kind: Job, metadata: {name: %s}, spec: {template: %s}}`, name, podTemplate(name))).with(
		`{spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: ["true"]}]}}}}`)
}

func configMap(name string) object {
	return manifest(fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {key: value}}`, name))
}

// labelled adds a label.
func (o object) labelled(key, value string) object {
	return o.with(fmt.Sprintf(`{metadata: {labels: {%q: %q}}}`, key, value))
}

// annotated adds an annotation.
func (o object) annotated(key, value string) object {
	return o.with(fmt.Sprintf(`{metadata: {annotations: {%q: %q}}}`, key, value))
}

// pooled has the Pods of a workload run on the nodes of the case, of which each
// takes one CPU.
func pooled(o object) object {
	return o.with(`{spec: {template: {spec: {
		nodeSelector: {"` + poolKey + `": $NS}, tolerations: [{key: "` + poolKey + `", operator: Exists}],
		containers: [{name: main, image: nginx, resources: {requests: {cpu: "1"}}}]}}}}`)
}

// policy is a PropagationPolicy for the deployment web, or for what its spec says
// instead.
func policy(name, spec string) object {
	return manifest(fmt.Sprintf(`{apiVersion: policy.fleet.dev/v1alpha1, kind: PropagationPolicy, metadata: {name: %s}}`, name)).with(
		`{spec: {resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web}]}}`, fmt.Sprintf(`{spec: {%s}}`, spec))
}

// clusterPolicy is policy in no namespace, about that of the case.
func clusterPolicy(name, spec string) object {
	return manifest(fmt.Sprintf(`{apiVersion: policy.fleet.dev/v1alpha1, kind: ClusterPropagationPolicy, metadata: {name: $NS-%s}}`, name)).with(
		`{spec: {resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web, namespace: $NS}]}}`, fmt.Sprintf(`{spec: {%s}}`, spec))
}

// override is an OverridePolicy for the deployment web, or for what its spec says
// instead.
func override(name, spec string) object {
	return manifest(fmt.Sprintf(`{apiVersion: policy.fleet.dev/v1alpha1, kind: OverridePolicy, metadata: {name: %s}}`, name)).with(
		`{spec: {resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web}]}}`, fmt.Sprintf(`{spec: {%s}}`, spec))
}

// clusterOverride is override in no namespace, about that of the case.
func clusterOverride(name, spec string) object {
	return manifest(fmt.Sprintf(`{apiVersion: policy.fleet.dev/v1alpha1, kind: ClusterOverridePolicy, metadata: {name: $NS-%s}}`, name)).with(
		`{spec: {resourceSelectors: [{apiVersion: apps/v1, kind: Deployment, name: web, namespace: $NS}]}}`, fmt.Sprintf(`{spec: {%s}}`, spec))
}

// selects says what a policy is about.
func selects(apiVersion, kind, more string) string {
	return fmt.Sprintf(`resourceSelectors: [{apiVersion: %q, kind: %q%s}]`, apiVersion, kind, more)
}

// to is a placement on the members.
func to(members ...string) string {
	return fmt.Sprintf("placement: {clusterAffinity: {clusterNames: [%s]}}", strings.Join(members, ", "))
}

// divided is a placement on the members that divides replicas among them.
func divided(how string, members ...string) string {
	return fmt.Sprintf("placement: {clusterAffinity: {clusterNames: [%s]}, replicaScheduling: {replicaSchedulingType: Divided%s}}", strings.Join(members, ", "), how)
}

// How divided divides.
const (
	byRoom     = ", replicaDivisionPreference: Weighted, weightPreference: {dynamicWeight: AvailableReplicas}"
	aggregated = ", replicaDivisionPreference: Aggregated"
)

// byWeight weighs members, for example "alpha=1 bravo=2".
func byWeight(weights string) string {
	var list []string
	for item := range strings.FieldsSeq(weights) {
		name, weight, _ := strings.Cut(item, "=")
		list = append(list, fmt.Sprintf("{targetCluster: {clusterNames: [%s]}, weight: %s}", name, weight))
	}
	return ", replicaDivisionPreference: Weighted, weightPreference: {staticWeightList: [" + strings.Join(list, ", ") + "]}"
}
