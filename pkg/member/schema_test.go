// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// publishedSchema parses a document the Kubernetes release publishes, as a
// member of that version serves it.
func publishedSchema(tb testing.TB, name string) *Schema {
	tb.Helper()
	document, err := os.ReadFile(filepath.Join(kubernetesSource(tb), "api/openapi-spec/v3", name))
	if err != nil {
		tb.Fatalf("read OpenAPI document: %v", err)
	}
	schema, err := ParseSchema(document)
	if err != nil {
		tb.Fatalf("ParseSchema(%s): %v", name, err)
	}
	return schema
}

// kubernetesSource is the folder of the Kubernetes module the build uses.
func kubernetesSource(tb testing.TB) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		tb.Fatalf("find the source of Kubernetes: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func object(tb testing.TB, manifest string) *unstructured.Unstructured {
	tb.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		tb.Fatalf("decode manifest: %v", err)
	}
	return object
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: nginx, env: [{name: A, value: "1"}, {name: B, value: "2"}]}
`

func TestTrim(t *testing.T) {
	schema := publishedSchema(t, "apis__apps__v1_openapi.json")
	withoutUnknown := object(t, deployment)

	unknown := object(t, deployment)
	set(t, unknown, "later", "spec", "template", "spec", "fieldOfALaterRelease")
	set(t, unknown, "later", "spec", "alsoLater")

	repeated := object(t, strings.Replace(deployment, `{name: B, value: "2"}`, `{name: B, value: "2"}, {name: A, value: "3"}`, 1))
	lastWins := object(t, strings.Replace(deployment, `[{name: A, value: "1"}, {name: B, value: "2"}]`, `[{name: B, value: "2"}, {name: A, value: "3"}]`, 1))

	cases := map[string]struct {
		reason      string
		object      *unstructured.Unstructured
		want        *unstructured.Unstructured
		wantRemoved []string
	}{
		"Known": {
			reason: "what the schema knows stays",
			object: object(t, deployment),
			want:   withoutUnknown,
		},
		"UnknownFields": {
			reason:      "fields the member does not know would fail the whole apply",
			object:      unknown,
			want:        withoutUnknown,
			wantRemoved: []string{".spec.alsoLater", ".spec.template.spec.fieldOfALaterRelease"},
		},
		"RepeatedListEntries": {
			reason:      "server-side apply refuses repeated keys; the kubelet uses the last one",
			object:      repeated,
			want:        lastWins,
			wantRemoved: []string{".spec.template.spec.containers[0].env[0]"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			removed, err := schema.Trim(tc.object)
			if err != nil {
				t.Fatalf("%s: Trim(): %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.wantRemoved, removed); diff != "" {
				t.Errorf("%s: Trim(): removed -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want.Object, tc.object.Object); diff != "" {
				t.Errorf("%s: Trim(): object -want +got:\n%s", tc.reason, diff)
			}
			if _, err := schema.Desired(tc.object); err != nil {
				t.Errorf("%s: Desired() after Trim(): %v", tc.reason, err)
			}
		})
	}
}

func TestDesiredRefuses(t *testing.T) {
	schema := publishedSchema(t, "apis__apps__v1_openapi.json")
	unknown := object(t, deployment)
	set(t, unknown, "later", "spec", "fieldOfALaterRelease")
	if _, err := schema.Desired(unknown); err == nil {
		t.Error("Desired() of an object with an unknown field: no error, so nothing would make the caller trim it")
	}
}

func set(tb testing.TB, object *unstructured.Unstructured, value any, fields ...string) {
	tb.Helper()
	if err := unstructured.SetNestedField(object.Object, value, fields...); err != nil {
		tb.Fatalf("set %s: %v", strings.Join(fields, "."), err)
	}
}
