// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

func TestMemberVersions(t *testing.T) {
	in := func(version string) *render.Template {
		template, err := render.Prepare(&unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/" + version, "kind": "Database",
			"metadata": map[string]any{"name": "main", "namespace": "shop", "uid": "u1", "generation": int64(4)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return template
	}
	binding := &workv1alpha1.ResourceBinding{}
	binding.Namespace, binding.Name, binding.UID = "shop", "main-database", "b1"
	binding.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: "example.com/v2", Kind: "Database", Namespace: "shop", Name: "main", UID: "u1"}
	binding.Spec.Clusters = []workv1alpha1.TargetCluster{{Name: "broken"}, {Name: "missing"}, {Name: "new"}, {Name: "old"}}
	binding.Spec.Versions = []workv1alpha1.MemberVersion{
		{APIVersion: "example.com/v1", Clusters: []string{"old"}},
		{APIVersion: "example.com/v1beta1", Clusters: []string{"broken"}},
		{APIVersion: "example.com/v1alpha1", Clusters: []string{"missing"}},
	}
	failure := errors.New("convert")
	template := in("v2").WithVersions(map[string]render.Version{
		"example.com/v1":      {Template: in("v1")},
		"example.com/v1beta1": {Err: failure},
	})
	got := map[string]string{}
	for _, result := range render.Works(fleetID, template, binding) {
		if result.Err != nil {
			got[result.Cluster] = result.Err.Error()
			continue
		}
		manifest := &unstructured.Unstructured{}
		if err := manifest.UnmarshalJSON(result.Work.Spec.Workload.Manifests[0].Raw); err != nil {
			t.Fatal(err)
		}
		got[result.Cluster] = manifest.GetAPIVersion() + " named " + result.Work.Spec.Template.APIVersion
	}
	want := map[string]string{
		"broken":  "convert",
		"missing": `render for member "missing": there is no Database "main" in example.com/v1alpha1`,
		"new":     "example.com/v2 named example.com/v2",
		"old":     "example.com/v1 named example.com/v1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("each member gets the version the binding names for it, and one that fails alone: -want, +got:\n%s", diff)
	}
}
