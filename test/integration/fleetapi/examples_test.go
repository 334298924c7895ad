// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestExamplesApply creates every example of the repository as a user would, with
// strict decoding.
func TestExamplesApply(t *testing.T) {
	files, err := filepath.Glob("../../../artifacts/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("find examples: %v, %v", files, err)
	}
	plurals := map[string]string{
		"PropagationPolicy": "propagationpolicies", "ClusterPropagationPolicy": "clusterpropagationpolicies", "OverridePolicy": "overridepolicies",
		"WorkloadRebalancer":               "workloadrebalancers",
		"ResourceInterpreterCustomization": "resourceinterpretercustomizations",
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			object := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict(data, &object.Object); err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			request := client().Post().AbsPath("/apis", object.GetAPIVersion())
			if namespace := object.GetNamespace(); namespace != "" {
				request = request.Namespace(namespace)
			}
			if err := request.Resource(plurals[object.GetKind()]).Param("fieldValidation", "Strict").Param("dryRun", "All").
				SetHeader("Content-Type", "application/json").Body(body).Do(t.Context()).Error(); err != nil {
				t.Errorf("create the example: %s", describe(err))
			}
		})
	}
}
