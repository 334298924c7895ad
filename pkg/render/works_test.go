// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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
