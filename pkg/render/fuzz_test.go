// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

// FuzzWorks renders any template under any binding: it never panics, twice the
// same, and what comes out is JSON that carries the fleet's label.
func FuzzWorks(f *testing.F) {
	cases, _ := filepath.Glob("testdata/cases/*.yaml")
	for _, path := range cases {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatalf("read seed: %v", err)
		}
		templateYAML, bindingYAML, _ := strings.Cut(string(content), "\n---\n")
		template, err := yaml.YAMLToJSON([]byte(templateYAML))
		if err != nil {
			f.Fatalf("%s: %v", path, err)
		}
		binding, err := yaml.YAMLToJSON([]byte(bindingYAML))
		if err != nil {
			f.Fatalf("%s: %v", path, err)
		}
		f.Add(template, binding)
	}
	f.Fuzz(func(t *testing.T, templateJSON, bindingJSON []byte) {
		object := &unstructured.Unstructured{}
		binding := &workv1alpha1.ResourceBinding{}
		if object.UnmarshalJSON(templateJSON) != nil || json.Unmarshal(bindingJSON, binding) != nil {
			t.Skip("not an object")
		}
		template, err := render.Prepare(object)
		if err != nil {
			return
		}
		first := render.Works(fleetID, template, binding)
		for i, again := range render.Works(fleetID, template, binding) {
			if (again.Err == nil) != (first[i].Err == nil) {
				t.Fatalf("rendered twice with different outcomes: %v, %v", first[i].Err, again.Err)
			}
			if diff := cmp.Diff(first[i].Work, again.Work); diff != "" {
				t.Fatalf("rendered twice with different works:\n%s", diff)
			}
			if again.Work == nil || again.Work.Spec.Deleted {
				continue
			}
			manifest := &unstructured.Unstructured{}
			if err := manifest.UnmarshalJSON(again.Work.Spec.Workload.Manifests[0].Raw); err != nil {
				t.Fatalf("manifest is no object: %v", err)
			}
			if got := manifest.GetLabels()[wellknown.LabelManagedBy]; got != fleetID && manifest.GetLabels() != nil {
				t.Fatalf("label %s is %q, want %q", wellknown.LabelManagedBy, got, fleetID)
			}
		}
	})
}
