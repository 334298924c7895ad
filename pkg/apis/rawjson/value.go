// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rawjson

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

var null = []byte("null")

// Value is any JSON value: object, array, string, number, boolean or null. The
// zero Value is null.
type Value struct {
	// Raw is the value in JSON encoding.
	Raw []byte `json:"-"`
}

// MarshalJSON writes the bytes as they are, null when there are none.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v.Raw) == 0 {
		return null, nil
	}
	return v.Raw, nil
}

// UnmarshalJSON keeps a copy of the bytes; null becomes the zero Value.
func (v *Value) UnmarshalJSON(data []byte) error {
	v.Raw = nil
	if len(data) > 0 && !bytes.Equal(data, null) {
		v.Raw = bytes.Clone(data)
	}
	return nil
}

// MarshalCBOR transcodes the JSON bytes.
func (v Value) MarshalCBOR() ([]byte, error) {
	if len(v.Raw) == 0 {
		return direct.Marshal(nil)
	}
	var decoded any
	if err := utiljson.Unmarshal(v.Raw, &decoded); err != nil {
		return nil, fmt.Errorf("decode JSON value: %w", err)
	}
	return direct.Marshal(decoded)
}

// UnmarshalCBOR transcodes to JSON bytes; null becomes the zero Value.
func (v *Value) UnmarshalCBOR(data []byte) error {
	v.Raw = nil
	var decoded any
	if err := direct.Unmarshal(data, &decoded); err != nil {
		return fmt.Errorf("decode CBOR value: %w", err)
	}
	if decoded == nil {
		return nil
	}
	raw, err := json.Marshal(decoded)
	if err != nil {
		return fmt.Errorf("encode JSON value: %w", err)
	}
	v.Raw = raw
	return nil
}

// ToUnstructured returns what an unstructured object holds for the value; the
// unstructured converter of apimachinery calls it.
func (v Value) ToUnstructured() any {
	if len(v.Raw) == 0 {
		return nil
	}
	var decoded any
	if err := utiljson.Unmarshal(v.Raw, &decoded); err != nil {
		return nil
	}
	return decoded
}

// OpenAPISchemaType says that the schema restricts no type.
func (Value) OpenAPISchemaType() []string { return nil }

// OpenAPISchemaFormat says that the schema has no format.
func (Value) OpenAPISchemaFormat() string { return "" }
