// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	openapiclient "k8s.io/client-go/openapi"
	explainv2 "k8s.io/kubectl/pkg/explain/v2"
)

// document is the part of an OpenAPI v3 document that describes kinds.
type document struct {
	Components struct {
		Schemas map[string]schemaOf `json:"schemas"`
	} `json:"components"`
}

type schemaOf struct {
	Description string              `json:"description"`
	Properties  map[string]schemaOf `json:"properties"`
	Kinds       []struct {
		Group, Version, Kind string
	} `json:"x-kubernetes-group-version-kind"`
}

// TestOpenAPIDescribesFields walks the schemas of the fleet's types. Types of
// Kubernetes inside them are upstream's to describe.
func TestOpenAPIDescribesFields(t *testing.T) {
	described := map[string]bool{}
	for _, group := range []string{"cluster", "policy", "work", "config", "apps"} {
		data, err := client().Get().AbsPath("/openapi/v3/apis", group+".fleet.dev", "v1alpha1").Do(t.Context()).Raw()
		if err != nil {
			t.Fatal(err)
		}
		var doc document
		if err := json.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
			if !strings.HasPrefix(name, "dev.fleet.") {
				continue
			}
			schema := doc.Components.Schemas[name]
			for _, kind := range schema.Kinds {
				described[kind.Group+"/"+kind.Kind] = true
			}
			for _, path := range undescribed(schema, name) {
				t.Errorf("%s has no description", path)
			}
		}
	}
	for _, r := range all {
		if !described[r.group+"/"+r.kind] {
			t.Errorf("no schema says that it is that of %s", r.kind)
		}
	}
}

// undescribed returns the fields without a description.
func undescribed(schema schemaOf, path string) []string {
	var found []string
	if schema.Description == "" {
		found = append(found, path)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		found = append(found, undescribed(schema.Properties[name], path+"."+name)...)
	}
	return found
}

// TestExplain runs what `kubectl explain` does.
func TestExplain(t *testing.T) {
	document := openapiclient.NewClient(client())
	explain := func(t *testing.T, r resource, recursive bool, fields ...string) string {
		t.Helper()
		var text strings.Builder
		if err := explainv2.PrintModelDescription(fields, &text, document, r.gvr(), recursive, "plaintext"); err != nil {
			t.Fatalf("kubectl explain %s: %v", strings.Join(append([]string{r.plural}, fields...), "."), err)
		}
		return text.String()
	}
	for _, r := range all {
		t.Run(r.kind, func(t *testing.T) {
			text := explain(t, r, true)
			for _, want := range []string{"GROUP:      " + r.group, "KIND:       " + r.kind, "VERSION:    v1alpha1", "  spec\t<"} {
				if !strings.Contains(text, want) {
					t.Errorf("want %q in\n%s", want, text)
				}
			}
		})
	}
	t.Run("Placement", func(t *testing.T) {
		text := explain(t, propagationPolicies, false, "spec", "placement")
		for _, want := range []string{
			"FIELD: placement <Placement>", "auto\t<AutoPlacement>\n    auto places by kind", "clusterAffinities\t<[]ClusterAffinityTerm>",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("want %q in\n%s", want, text)
			}
		}
	})
	t.Run("Enumeration", func(t *testing.T) {
		text := explain(t, propagationPolicies, false, "spec", "conflictResolution")
		if want := "ENUM:\n    Abort\n    IfNoDiff\n    Overwrite\n"; !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	})
	t.Run("UpstreamTypesInside", func(t *testing.T) {
		text := explain(t, clusters, false, "spec", "taints", "effect")
		if want := "DESCRIPTION:\n    Required. The effect of the taint"; !strings.Contains(text, want) {
			t.Errorf("a type of Kubernetes inside a fleet kind is explained as well: want %q in\n%s", want, text)
		}
	})
}
