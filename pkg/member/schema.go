// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	smdschema "sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// Schema knows the fields of the kinds of one API version, in the way the
// member's server-side apply sees them. It is immutable and safe for concurrent
// use.
type Schema struct {
	converter managedfields.TypeConverter
}

// deduced is the Schema of kinds that publish none. Like the API server it then
// takes every list for a single value.
var deduced = &Schema{converter: managedfields.NewDeducedTypeConverter()}

// ParseSchema reads an OpenAPI v3 document of an API server, in JSON.
func ParseSchema(document []byte) (*Schema, error) {
	var parsed struct {
		Components struct {
			Schemas map[string]*spec.Schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &parsed); err != nil {
		return nil, fmt.Errorf("decode OpenAPI document: %w", err)
	}
	converter, err := managedfields.NewTypeConverter(parsed.Components.Schemas, false)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	return &Schema{converter: converter}, nil
}

// has returns whether the document describes kind.
func (s *Schema) has(kind schema.GroupVersionKind) bool {
	_, err := s.converter.ObjectToTyped(skeleton(kind))
	return err == nil
}

// skeleton is the least object of a kind.
func skeleton(kind schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(kind)
	return object
}

// Observed returns the typed value of an object read from the member.
func (s *Schema) Observed(object *unstructured.Unstructured) (*typed.TypedValue, error) {
	value, err := s.converter.ObjectToTyped(object, typed.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("read %s %s by the member's schema: %w", object.GetKind(), object.GetName(), err)
	}
	return value, nil
}

// Desired returns the typed value of an object to be applied, under the
// stricter rules of server-side apply: unknown fields and repeated list entries
// are errors. See Trim.
func (s *Schema) Desired(object *unstructured.Unstructured) (*typed.TypedValue, error) {
	value, err := s.converter.ObjectToTyped(object)
	if err != nil {
		return nil, fmt.Errorf("read %s %s by the member's schema: %w", object.GetKind(), object.GetName(), err)
	}
	return value, nil
}

// Trim removes from object what the member's server-side apply would refuse:
// fields its schema does not have (an older member), and all but the last of
// list entries with the same key. It returns the paths of what it removed, and
// changes object in place.
func (s *Schema) Trim(object *unstructured.Unstructured) ([]string, error) {
	value, err := s.converter.ObjectToTyped(skeleton(object.GroupVersionKind()))
	if err != nil {
		return nil, fmt.Errorf("find schema of %s: %w", object.GroupVersionKind(), err)
	}
	t := &trimmer{schema: value.Schema()}
	t.value("", object.Object, value.TypeRef())
	slices.Sort(t.removed)
	return t.removed, nil
}

// trimmer walks a value along its schema.
type trimmer struct {
	schema  *smdschema.Schema
	removed []string
}

// value trims v, which is of the type, and returns what to put in its place:
// lists change their length.
func (t *trimmer) value(path string, v any, ref smdschema.TypeRef) any {
	atom, ok := t.schema.Resolve(ref)
	if !ok {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		if atom.Map != nil {
			t.fields(path, v, atom.Map)
		}
	case []any:
		if atom.List != nil {
			return t.items(path, v, atom.List)
		}
	}
	return v
}

func (t *trimmer) fields(path string, object map[string]any, m *smdschema.Map) {
	for name, value := range object {
		ref := m.ElementType
		if field, ok := m.FindField(name); ok {
			ref = field.Type
		}
		fieldPath := path + "." + name
		if !declared(ref) {
			delete(object, name)
			t.removed = append(t.removed, fieldPath)
			continue
		}
		object[name] = t.value(fieldPath, value, ref)
	}
}

// declared returns false for the empty type, which accepts nothing.
func declared(ref smdschema.TypeRef) bool {
	return ref.NamedType != nil || ref.Inlined != (smdschema.Atom{})
}

func (t *trimmer) items(path string, list []any, l *smdschema.List) any {
	last := map[string]int{}
	for i, item := range list {
		list[i] = t.value(path+"["+strconv.Itoa(i)+"]", item, l.ElementType)
		if key, ok := itemKey(list[i], l); ok {
			last[key] = i
		}
	}
	kept := list[:0:0]
	for i, item := range list {
		if key, ok := itemKey(item, l); ok && last[key] != i {
			t.removed = append(t.removed, path+"["+strconv.Itoa(i)+"]")
			continue
		}
		kept = append(kept, item)
	}
	return kept
}

// itemKey returns what identifies item in an associative list, false in lists
// whose items have no identity.
func itemKey(item any, l *smdschema.List) (string, bool) {
	if l.ElementRelationship != smdschema.Associative {
		return "", false
	}
	if len(l.Keys) == 0 {
		return fmt.Sprintf("%T %v", item, item), true
	}
	object, ok := item.(map[string]any)
	if !ok {
		return "", false
	}
	key := make([]any, 0, len(l.Keys))
	for _, name := range l.Keys {
		key = append(key, object[name])
	}
	return fmt.Sprintf("%#v", key), true
}
