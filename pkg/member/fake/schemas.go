// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/yaml"
)

// documents are the OpenAPI documents of the Kubernetes release that are served.
var documents = map[schema.GroupVersion]string{
	{Version: "v1"}:                "api__v1_openapi.json",
	{Group: "apps", Version: "v1"}: "apis__apps__v1_openapi.json",
}

// schemas serves OpenAPI documents and has the field managers for them.
type schemas struct {
	bodies     map[string][]byte // by path
	converters map[schema.GroupVersion]managedfields.TypeConverter
}

// load reads the documents once for all tests: to parse them takes long.
var load = sync.OnceValues(func() (*schemas, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return nil, fmt.Errorf("find the source of Kubernetes: %w", err)
	}
	s := &schemas{bodies: map[string][]byte{}, converters: map[schema.GroupVersion]managedfields.TypeConverter{}}
	for gv, file := range documents {
		body, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "api", "openapi-spec", "v3", file))
		if err != nil {
			return nil, err
		}
		var parsed struct {
			Components struct {
				Schemas map[string]*spec.Schema `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(body, &parsed); err != nil {
			return nil, fmt.Errorf("decode %s: %w", file, err)
		}
		converter, err := managedfields.NewTypeConverter(parsed.Components.Schemas, false)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		s.bodies[documentPath(gv)], s.converters[gv] = body, converter
	}
	return s, nil
})

func newSchemas(tb testing.TB) *schemas {
	tb.Helper()
	s, err := load()
	if err != nil {
		tb.Fatalf("load OpenAPI documents: %v", err)
	}
	return s
}

func documentPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.String()
}

func (s *schemas) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/openapi/v3"), "/")
	if path != "" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(s.bodies[path])
		return
	}
	index := handler3.OpenAPIV3Discovery{Paths: map[string]handler3.OpenAPIV3DiscoveryGroupVersion{}}
	for path, body := range s.bodies {
		index.Paths[path] = handler3.OpenAPIV3DiscoveryGroupVersion{
			ServerRelativeURL: fmt.Sprintf("/openapi/v3/%s?hash=%X", path, sha512.Sum512(body)),
		}
	}
	answer(w, http.StatusOK, index)
}

// converter is what server-side apply reads objects of the version with.
func (s *schemas) converter(gv schema.GroupVersion) managedfields.TypeConverter {
	if converter, ok := s.converters[gv]; ok {
		return converter
	}
	return managedfields.NewDeducedTypeConverter()
}

func toJSON(tb testing.TB, text string) []byte {
	tb.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		tb.Fatalf("decode YAML: %v", err)
	}
	return raw
}
