// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func toJSON(t *testing.T, object map[string]any) []byte {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func get(t *testing.T, r resource) map[string]any {
	t.Helper()
	data, err := client().Get().AbsPath(r.path(), nameOf(r.object(nil))).Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	return decode(string(data))
}

// put writes the object back after change.
func put(t *testing.T, r resource, subresource string, object map[string]any, change string) map[string]any {
	t.Helper()
	merge(object, change)
	data, err := client().Put().AbsPath(r.path(), nameOf(object), subresource).Body(toJSON(t, object)).Do(t.Context()).Raw()
	if err != nil {
		t.Fatalf("put %s %s: %s", r.plural, subresource, describe(err))
	}
	return decode(string(data))
}

func TestDefaults(t *testing.T) {
	policy := func(spec string) map[string]any {
		defaulted := decode(`{priority: 0, preemption: Never, schedulerName: default-scheduler, conflictResolution: IfNoDiff,
  recreatePolicy: Never, placement: {}}`)
		defaulted["resourceSelectors"] = decode(propagation)["spec"].(map[string]any)["resourceSelectors"]
		merge(defaulted, spec)
		return defaulted
	}
	tests := map[string]struct {
		reason   string
		resource resource
		given    string
		want     map[string]any
	}{
		"Policy": {
			reason:   "an empty policy says what it does",
			resource: propagationPolicies,
			want:     policy(``),
		},
		"ReplicaScheduling": {
			reason:   "who asks for replica scheduling wants them divided",
			resource: clusterPropagationPolicies,
			given:    `spec: {placement: {replicaScheduling: {}}}`,
			want:     policy(`placement: {replicaScheduling: {replicaSchedulingType: Divided, replicaDivisionPreference: Weighted}}`),
		},
		"Duplicated": {
			reason:   "what is not divided has no preference",
			resource: propagationPolicies,
			given:    `spec: {placement: {replicaScheduling: {replicaSchedulingType: Duplicated}}}`,
			want:     policy(`placement: {replicaScheduling: {replicaSchedulingType: Duplicated}}`),
		},
		"Spread": {
			reason:   "one member at least, and members are what is counted",
			resource: propagationPolicies,
			given:    `spec: {placement: {spreadConstraints: [{}]}}`,
			want:     policy(`placement: {spreadConstraints: [{spreadByField: cluster, minGroups: 1}]}`),
		},
		"Failover": {
			reason:   "the times are written down, so that users see them",
			resource: propagationPolicies,
			given:    `spec: {failover: {application: {decisionConditions: {}}, cluster: {}}}`,
			want: policy(`failover: {application: {decisionConditions: {tolerationSeconds: 300}, purgeMode: Gracefully, gracePeriodSeconds: 600},
  cluster: {purgeMode: Gracefully}}`),
		},
		"Zone": {
			reason:   "the deprecated zone is read as the only one of zones",
			resource: clusters.named("zoned"),
			given:    `spec: {zone: a}`,
			want:     decode(`{syncMode: Push, apiEndpoint: "https://192.0.2.1:6443", zone: a, zones: [a]}`),
		},
		"Binding": {
			reason:   "a binding without a policy is decided upon all the same",
			resource: resourceBindings,
			want: decode(`{resource: {apiVersion: apps/v1, kind: Deployment, namespace: shop, name: web, uid: "1"},
  schedulerName: default-scheduler, conflictResolution: IfNoDiff}`),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := create(t, tc.resource, tc.given)
			if diff := cmp.Diff(numbers(tc.want), numbers(got["spec"])); diff != "" {
				t.Errorf("%s: spec, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// numbers makes all numbers of a decoded document of one type.
func numbers(value any) any {
	data, _ := json.Marshal(value) //nolint:errchkjson // decoded from text
	var same any
	_ = json.Unmarshal(data, &same)
	return same
}

func TestServerSetFields(t *testing.T) {
	t.Run("TimeAdded", func(t *testing.T) {
		r := clusters.named("tainted")
		made := create(t, r, `spec: {taints: [{key: down, effect: NoExecute}, {key: busy, effect: NoSchedule}]}`)
		taints, _, _ := unstructured.NestedSlice(made, "spec", "taints")
		added, _ := taints[0].(map[string]any)["timeAdded"].(string)
		if when, err := time.Parse(time.RFC3339, added); err != nil || time.Since(when).Abs() > time.Minute {
			t.Errorf("timeAdded of the taint NoExecute: want now, got %q", added)
		}
		if _, ok := taints[1].(map[string]any)["timeAdded"]; ok {
			t.Errorf("timeAdded of a taint that does not evict: want none, got %v", taints[1])
		}
		again := put(t, r, "", made, `spec: {taints: [{key: down, effect: NoExecute}, {key: busy, effect: NoSchedule}]}`)
		if diff := cmp.Diff(taints[0], again["spec"].(map[string]any)["taints"].([]any)[0]); diff != "" {
			t.Errorf("leaving timeAdded out must not reset it, -before +after:\n%s", diff)
		}
		if before, after := generation(t, made), generation(t, again); before != after {
			t.Errorf("leaving timeAdded out changes nothing: want generation %d, got %d", before, after)
		}
	})
	t.Run("CreationTimestamp", func(t *testing.T) {
		object := resourceBindings.object(func(object map[string]any) {
			merge(object, `spec: {gracefulEvictionTasks: [{fromCluster: m1, reason: Down, producer: test}]}`)
		})
		data, err := post(t, resourceBindings, object, "dryRun=All").Raw() // stored, it could not be deleted
		if err != nil {
			t.Fatal(err)
		}
		made := decode(string(data))
		tasks, _, _ := unstructured.NestedSlice(made, "spec", "gracefulEvictionTasks")
		created, _ := tasks[0].(map[string]any)["creationTimestamp"].(string)
		if when, err := time.Parse(time.RFC3339, created); err != nil || time.Since(when).Abs() > time.Minute {
			t.Errorf("creationTimestamp of the task: want now, got %q", created)
		}
	})
}

func generation(t *testing.T, object map[string]any) int64 {
	t.Helper()
	generation := (&unstructured.Unstructured{Object: numbers(object).(map[string]any)}).Object["metadata"].(map[string]any)["generation"]
	number, ok := generation.(float64)
	if !ok {
		t.Fatalf("generation of %v is %T", object["metadata"], generation)
	}
	return int64(number)
}

func TestWarnings(t *testing.T) {
	r := propagationPolicies.named("warned")
	object := r.object(func(object map[string]any) { merge(object, `spec: {association: true}`) })
	result := post(t, r, object, "dryRun=All")
	if err := result.Error(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, warning := range result.Warnings() {
		got = append(got, warning.Text)
	}
	if diff := cmp.Diff([]string{"spec.association: deprecated; use spec.propagateDeps"}, got); diff != "" {
		t.Errorf("warnings, -want +got:\n%s", diff)
	}
}

// TestStatusIsolation shows that each of the two endpoints of an object writes
// its half and nothing else.
func TestStatusIsolation(t *testing.T) {
	tests := map[string]struct {
		resource     resource
		spec, status string
	}{
		"Cluster":                {clusters, `spec: {region: eu}`, `status: {kubernetesVersion: v1.36.3}`},
		"ResourceBinding":        {resourceBindings, `spec: {replicas: 3}`, `status: {schedulerObservingAffinityName: a}`},
		"ClusterResourceBinding": {clusterResourceBindings, `spec: {replicas: 3}`, `status: {schedulerObservingAffinityName: a}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := tc.resource.named("isolated")
			made := create(t, r, tc.status)
			spec := numbers(made["spec"])
			if status, _ := made["status"].(map[string]any); len(status) > 0 {
				t.Errorf("a new object came with a status: %v", status)
			}
			reported := put(t, r, "status", made, tc.status+"\n"+tc.spec+"\nmetadata: {labels: {a: b}, finalizers: [fleet.dev/x], annotations: {a: b}}")
			want := get(t, r)
			if diff := cmp.Diff(numbers(decode(tc.status)["status"]), numbers(want["status"])); diff != "" {
				t.Errorf("status after a write to it, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(spec, numbers(want["spec"])); diff != "" {
				t.Errorf("spec after a write to the status, -before +after:\n%s", diff)
			}
			metadata := want["metadata"].(map[string]any)
			for _, field := range []string{"labels", "finalizers", "annotations"} {
				if metadata[field] != nil {
					t.Errorf("a write to the status set %s: %v", field, metadata[field])
				}
			}
			if generation(t, want) != 1 {
				t.Errorf("a write to the status is no new generation: want 1, got %d", generation(t, want))
			}

			changed := put(t, r, "", reported, tc.spec+"\nstatus: null")
			if diff := cmp.Diff(numbers(want["status"]), numbers(changed["status"])); diff != "" {
				t.Errorf("status after a write to the spec, -before +after:\n%s", diff)
			}
			if generation(t, changed) != 2 {
				t.Errorf("a write to the spec is a new generation: want 2, got %d", generation(t, changed))
			}
		})
	}
}
