// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

func TestMembersAlikeShareTheManifest(t *testing.T) {
	template, binding := deployment(t, 3)
	works := render.Works(fleetID, template, binding)
	first, second := works[0].Work.Spec.Workload.Manifests[0].Raw, works[1].Work.Spec.Workload.Manifests[0].Raw
	if &first[0] != &second[0] {
		t.Errorf("two members with the same replicas and overrides have two copies of the manifest")
	}
}

func TestWorkOfOneMember(t *testing.T) {
	template, binding := deployment(t, 3)
	got, err := render.Work(fleetID, template, binding, "member-1")
	if err != nil || got == nil || got.Namespace != "fleet-cluster-member-1" {
		t.Errorf("Work(member-1) = %v, %v, want the work in the member's namespace", got, err)
	}
	if got.Spec.RecreatePolicy != "" {
		t.Errorf("recreatePolicy of the work is %q, want none: the binding has none", got.Spec.RecreatePolicy)
	}
	binding.GetSpec().RecreatePolicy = policyv1alpha1.RecreateOnImmutableChange
	if got, err = render.Work(fleetID, template, binding, "member-1"); err != nil || got.Spec.RecreatePolicy != policyv1alpha1.RecreateOnImmutableChange {
		t.Errorf("Work(member-1) = %v, %v, want the binding's recreatePolicy", got, err)
	}
	got, err = render.Work(fleetID, template, binding, "elsewhere")
	if err != nil || got != nil {
		t.Errorf("Work(elsewhere) = %v, %v, want none: the binding does not name the member", got, err)
	}
}

func TestPodTemplateHash(t *testing.T) {
	hashOf := func(edit func(object map[string]any)) string {
		object := map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"name": "web", "resourceVersion": "1"},
			"spec": map[string]any{
				"replicas": int64(1),
				"template": map[string]any{
					"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
					"spec":     map[string]any{"nodeName": "a"},
				},
			},
		}
		if edit != nil {
			edit(object)
		}
		hash, ok, err := render.PodTemplateHash(&unstructured.Unstructured{Object: object})
		if err != nil || !ok {
			t.Fatalf("PodTemplateHash: %v, %t", err, ok)
		}
		return hash
	}
	plain := hashOf(nil)
	cases := map[string]struct {
		reason string
		edit   func(object map[string]any)
		same   bool
	}{
		"Replicas": {
			reason: "Scaling is no new revision.",
			edit:   func(object map[string]any) { _ = unstructured.SetNestedField(object, int64(9), "spec", "replicas") },
			same:   true,
		},
		"Status": {
			reason: "Status is not part of the template.",
			edit:   func(object map[string]any) { object["status"] = map[string]any{"replicas": int64(1)} },
			same:   true,
		},
		"Stamp": {
			reason: "An object copied from a member hashes like the original.",
			edit: func(object map[string]any) {
				_ = unstructured.SetNestedField(object, map[string]any{"fleet.dev/template": "x", "app": "web"}, "spec", "template", "metadata", "labels")
			},
			same: true,
		},
		"Marks": {
			reason: "Nobody marks Pods but the fleet.",
			edit: func(object map[string]any) {
				_ = unstructured.SetNestedField(object, map[string]any{"fleet.dev/managed-by": "x", "app": "web"}, "spec", "template", "metadata", "labels")
				_ = unstructured.SetNestedField(object, map[string]any{"fleet.dev/template-uid": "y"}, "spec", "template", "metadata", "annotations")
			},
			same: true,
		},
		"PodSpec": {
			reason: "A change of the Pod spec is a new revision.",
			edit: func(object map[string]any) {
				_ = unstructured.SetNestedField(object, "b", "spec", "template", "spec", "nodeName")
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if same := hashOf(tc.edit) == plain; same != tc.same {
				t.Errorf("%s\nhash stayed the same: %t, want %t", tc.reason, same, tc.same)
			}
		})
	}
	if _, ok, err := render.PodTemplateHash(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c"},
	}}); ok || err != nil {
		t.Errorf("PodTemplateHash of a ConfigMap: %t, %v, want none", ok, err)
	}
}

func deployment(tb testing.TB, members int) (*render.Template, *workv1alpha1.ResourceBinding) {
	tb.Helper()
	template, err := render.Prepare(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "u1", "generation": int64(1), "labels": map[string]any{"app": "web"}},
		"spec": map[string]any{
			"replicas": int64(9),
			"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
				"spec": map[string]any{"containers": []any{
					map[string]any{"name": "web", "image": "nginx:1.27", "env": []any{map[string]any{"name": "A", "value": "b"}}},
				}},
			},
		},
	}})
	if err != nil {
		tb.Fatalf("prepare template: %v", err)
	}
	binding := &workv1alpha1.ResourceBinding{}
	binding.Namespace, binding.Name, binding.UID = "shop", "web-deployment", "b1"
	binding.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "u1"}
	binding.Spec.Replicas = 9
	for i := range members {
		binding.Spec.Clusters = append(binding.Spec.Clusters, workv1alpha1.TargetCluster{Name: fmt.Sprintf("member-%d", i), Replicas: 3})
	}
	return template, binding
}

func BenchmarkWorks(b *testing.B) {
	for _, members := range []int{2, 100} {
		template, binding := deployment(b, members)
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				render.Works(fleetID, template, binding)
			}
		})
	}
}

// TestLeavingReplicas: what is to leave a member, but has not, runs on top of what
// is to stay there.
func TestLeavingReplicas(t *testing.T) {
	task := func(member string, replicas *int32) workv1alpha1.GracefulEvictionTask {
		return workv1alpha1.GracefulEvictionTask{FromCluster: member, Replicas: replicas}
	}
	cases := map[string]struct {
		reason   string
		clusters []workv1alpha1.TargetCluster
		tasks    []workv1alpha1.GracefulEvictionTask
		want     map[string]int64
	}{
		"Some": {
			reason:   "Three of the five are to go.",
			clusters: []workv1alpha1.TargetCluster{{Name: "a", Replicas: 2}, {Name: "b", Replicas: 3}},
			tasks:    []workv1alpha1.GracefulEvictionTask{task("a", new(int32(3)))},
			want:     map[string]int64{"a": 5, "b": 3},
		},
		"Twice": {
			reason:   "Two decisions took some.",
			clusters: []workv1alpha1.TargetCluster{{Name: "a", Replicas: 1}},
			tasks:    []workv1alpha1.GracefulEvictionTask{task("a", new(int32(3))), task("a", new(int32(1)))},
			want:     map[string]int64{"a": 5},
		},
		"All": {
			reason:   "It is not among the members any more.",
			clusters: []workv1alpha1.TargetCluster{{Name: "b", Replicas: 5}},
			tasks:    []workv1alpha1.GracefulEvictionTask{task("a", new(int32(4))), task("a", new(int32(1)))},
			want:     map[string]int64{"a": 5, "b": 5},
		},
		"Unsaid": {
			reason:   "It keeps the number of the template, or what it has.",
			clusters: []workv1alpha1.TargetCluster{{Name: "b", Replicas: 2}},
			tasks:    []workv1alpha1.GracefulEvictionTask{task("a", nil), task("b", nil)},
			want:     map[string]int64{"a": 9, "b": 2},
		},
	}
	object := func() *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"namespace": "shop", "name": "web", "uid": "u"},
			"spec": map[string]any{"replicas": int64(9)},
		}}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			template, err := render.Prepare(object())
			if err != nil {
				t.Fatal(err)
			}
			binding := &workv1alpha1.ResourceBinding{Spec: workv1alpha1.BindingSpec{
				Resource: workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "u"},
				Clusters: tc.clusters, GracefulEvictionTasks: tc.tasks,
			}}
			got := map[string]int64{}
			for _, result := range render.Works(fleetID, template, binding) {
				if result.Err != nil {
					t.Fatal(result.Err)
				}
				work := &unstructured.Unstructured{}
				if err := work.UnmarshalJSON(result.Work.Spec.Workload.Manifests[0].Raw); err != nil {
					t.Fatal(err)
				}
				got[result.Cluster], _, _ = unstructured.NestedInt64(work.Object, "spec", "replicas")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nreplicas: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
