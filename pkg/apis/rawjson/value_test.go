// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rawjson

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
)

func TestValue(t *testing.T) {
	cases := map[string]struct {
		reason string
		in     string
		out    string
	}{
		"Null":    {reason: "null is the zero value", in: "null", out: "null"},
		"String":  {reason: "a string keeps its quotes", in: `"a"`, out: `"a"`},
		"Integer": {reason: "an integer does not become a float", in: "9007199254740993", out: "9007199254740993"},
		"Object":  {reason: "an object is kept whole", in: `{"a":[1,true,null]}`, out: `{"a":[1,true,null]}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var value Value
			if err := json.Unmarshal([]byte(tc.in), &value); err != nil {
				t.Fatalf("\n%s\nunmarshal: %v", tc.reason, err)
			}
			got, err := json.Marshal(value)
			if err != nil {
				t.Fatalf("\n%s\nmarshal: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.out, string(got)); diff != "" {
				t.Errorf("\n%s\nJSON: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.out, throughCBOR(t, value)); diff != "" {
				t.Errorf("\n%s\nCBOR: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func throughCBOR(t *testing.T, value Value) string {
	t.Helper()
	encoded, err := direct.Marshal(value)
	if err != nil {
		t.Fatalf("marshal CBOR: %v", err)
	}
	var decoded Value
	if err := direct.Unmarshal(encoded, &decoded); err != nil {
		t.Fatalf("unmarshal CBOR: %v", err)
	}
	text, err := json.Marshal(decoded)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return string(text)
}
