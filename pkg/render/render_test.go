// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

var update = flag.Bool("update", false, "write the golden files anew")

const fleetID = "f0000000-0000-0000-0000-000000000001"

// golden is what a case renders to, manifests in readable form.
type golden struct {
	Cluster  string             `json:"cluster"`
	Error    string             `json:"error,omitempty"`
	Work     *workv1alpha1.Work `json:"work,omitempty"`
	Manifest json.RawMessage    `json:"manifest,omitempty"`
}

// TestGolden renders every testdata/cases/<name>.yaml, a template and a binding,
// and compares with testdata/golden/<name>.yaml.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/cases/*.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatalf("find cases: %v, %d found", err, len(cases))
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			template, binding := readCase(t, path)
			before := template.DeepCopy()
			got := renderGolden(t, template, binding)
			if diff := cmp.Diff(before.Object, template.Object); diff != "" {
				t.Errorf("Prepare changed its argument (-before +after):\n%s", diff)
			}
			wantPath := filepath.Join("testdata", "golden", filepath.Base(path))
			if *update {
				writeFile(t, wantPath, got)
			}
			want, err := os.ReadFile(wantPath)
			if err != nil {
				t.Fatalf("read golden file (run with -update to make it): %v", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("works differ from %s (-want +got):\n%s", wantPath, diff)
			}
		})
	}
}

// TestDeterministic renders every case many times: map order must not show.
func TestDeterministic(t *testing.T) {
	cases, _ := filepath.Glob("testdata/cases/*.yaml")
	for _, path := range cases {
		template, binding := readCase(t, path)
		first := renderGolden(t, template, binding)
		for range 20 {
			if again := renderGolden(t, template, binding); !bytes.Equal(first, again) {
				t.Fatalf("%s: rendered differently the second time:\n%s", path, cmp.Diff(string(first), string(again)))
			}
		}
	}
}

func renderGolden(t *testing.T, template *unstructured.Unstructured, binding workv1alpha1.Binding) []byte {
	t.Helper()
	prepared, err := render.Prepare(template)
	if err != nil {
		t.Fatalf("prepare template: %v", err)
	}
	var all []golden
	for _, result := range render.Works(fleetID, prepared, binding) {
		one := golden{Cluster: result.Cluster}
		if result.Err != nil {
			one.Error = result.Err.Error()
		}
		if result.Work != nil {
			one.Work = result.Work.DeepCopy()
			manifests := one.Work.Spec.Workload.Manifests
			if len(manifests) != 1 {
				t.Fatalf("work of %q has %d manifests, want 1", result.Cluster, len(manifests))
			}
			if want := render.ContentHash(manifests[0].Raw); one.Work.Spec.ContentHash != want {
				t.Errorf("work of %q has content hash %q, want %q", result.Cluster, one.Work.Spec.ContentHash, want)
			}
			one.Manifest = manifests[0].Raw
			one.Work.Spec.Workload.Manifests = nil
		}
		all = append(all, one)
	}
	out, err := yaml.Marshal(all)
	if err != nil {
		t.Fatalf("encode works: %v", err)
	}
	return out
}

func readCase(t *testing.T, path string) (*unstructured.Unstructured, workv1alpha1.Binding) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read case: %v", err)
	}
	documents := strings.Split(string(content), "\n---\n")
	if len(documents) != 2 {
		t.Fatalf("%s has %d documents, want a template and a binding", path, len(documents))
	}
	template := &unstructured.Unstructured{}
	templateJSON, err := yaml.YAMLToJSON([]byte(documents[0]))
	if err != nil {
		t.Fatalf("%s: template: %v", path, err)
	}
	if err := template.UnmarshalJSON(templateJSON); err != nil {
		t.Fatalf("%s: template: %v", path, err)
	}
	var binding workv1alpha1.Binding = &workv1alpha1.ResourceBinding{}
	if strings.Contains(documents[1], "kind: ClusterResourceBinding") {
		binding = &workv1alpha1.ClusterResourceBinding{}
	}
	if err := yaml.UnmarshalStrict([]byte(documents[1]), binding); err != nil {
		t.Fatalf("%s: binding: %v", path, err)
	}
	return template, binding
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("make folder of golden files: %v", err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatalf("write golden file: %v", err)
	}
}
