// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"errors"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/rawjson"
)

// operation is one operation of a JSON patch (RFC 6902).
type operation struct {
	Op    string           `json:"op"`
	Path  string           `json:"path"`
	Value *json.RawMessage `json:"value,omitempty"`
}

func newOperation(path string, operator policyv1alpha1.OverriderOperator, value rawjson.Value) operation {
	op := operation{Op: string(operator), Path: path}
	if operator != policyv1alpha1.OverriderOpRemove {
		raw := json.RawMessage("null")
		if len(value.Raw) > 0 {
			raw = value.Raw
		}
		op.Value = &raw
	}
	return op
}

// patchJSON applies the operations to a JSON document.
func patchJSON(document []byte, operations []operation) ([]byte, error) {
	for _, op := range operations {
		switch policyv1alpha1.OverriderOperator(op.Op) {
		case policyv1alpha1.OverriderOpAdd, policyv1alpha1.OverriderOpRemove, policyv1alpha1.OverriderOpReplace:
		default:
			return nil, fmt.Errorf("operator %q is unknown", op.Op)
		}
		if op.Path == "" {
			return nil, errors.New("path may not be empty")
		}
	}
	raw, err := json.Marshal(operations)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		return nil, fmt.Errorf("decode patch: %w", err)
	}
	patched, err := patch.Apply(document)
	if err != nil {
		return nil, fmt.Errorf("apply patch: %w", err)
	}
	return patched, nil
}

// patchObject applies the operations to an object.
func patchObject(object map[string]any, operations []operation) (map[string]any, error) {
	document, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	patched, err := patchJSON(document, operations)
	if err != nil {
		return nil, err
	}
	var result map[string]any
	if err := utiljson.Unmarshal(patched, &result); err != nil {
		return nil, fmt.Errorf("decode patched object: %w", err)
	}
	return result, nil
}

// overrideField patches JSON or YAML text inside a string field.
func overrideField(object map[string]any, overrider *policyv1alpha1.FieldOverrider) error {
	return editString(object, overrider.FieldPath, func(text string) (string, error) {
		if len(overrider.JSON) > 0 {
			patched, err := patchJSON([]byte(text), fieldOperations(overrider.JSON))
			return string(patched), err
		}
		document, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			return "", fmt.Errorf("decode YAML in field %q: %w", overrider.FieldPath, err)
		}
		patched, err := patchJSON(document, fieldOperations(overrider.YAML))
		if err != nil {
			return "", err
		}
		edited, err := yaml.JSONToYAML(patched)
		if err != nil {
			return "", fmt.Errorf("encode YAML of field %q: %w", overrider.FieldPath, err)
		}
		return string(edited), nil
	})
}

func fieldOperations(from []policyv1alpha1.FieldPatchOperation) []operation {
	operations := make([]operation, len(from))
	for i, op := range from {
		operations[i] = newOperation(op.SubPath, op.Operator, op.Value)
	}
	return operations
}
