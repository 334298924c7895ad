// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/interpreter"
)

func TestCheckRule(t *testing.T) {
	tests := map[string]struct {
		reason string
		text   string
		want   string
	}{
		"Boolean": {
			reason: "the usual answer",
			text:   `object.status.ready == object.spec.replicas`,
		},
		"Result": {
			reason: "an answer of another type is none",
			text:   `Object{spec: Object.spec{replicas: 2 * object.spec.replicas}}`,
			want:   "must return bool, not Object",
		},
		"Optional": {
			reason: "the syntax of optional fields is part of the dialect of Kubernetes",
			text:   `object.?spec.replicas.orValue(1) == 1`,
		},
		"Macro": {
			reason: "macros are expanded while parsing",
			text:   `object.spec.zones.all(z, z.startsWith("eu-"))`,
		},
		"Incomplete": {
			reason: "the message says where it stops being CEL",
			text:   `object.spec.region ==`,
			want:   "must be a CEL expression: line 1, column 22: Syntax error: mismatched input '<EOF>'",
		},
		"AnotherLanguage": {
			reason: "a statement is no expression",
			text:   `function GetReplicas(obj) return 1 end`,
			want:   "line 1, column 10: Syntax error: mismatched input 'GetReplicas'",
		},
		"MacroMisused": {
			reason: "a macro's first argument has to be a name",
			text:   `object.spec.zones.all("z", true)`,
			want:   "argument must be a simple name",
		},
		"Empty": {
			reason: "validation says whether it is required",
			text:   " ",
		},
		"TooLong": {
			reason: "validation has refused it, and parsing costs time",
			text:   strings.Repeat("(", fieldcheck.MaxExpressionLength+1),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			path := field.NewPath("spec", "expression")
			errs := CheckRule(interpreter.HealthInterpretation, tc.text, path)
			switch {
			case tc.want == "" && len(errs) > 0:
				t.Errorf("%s: want no error, got %v", tc.reason, errs)
			case tc.want != "" && (len(errs) != 1 || errs[0].Field != path.String() || !strings.Contains(errs[0].Detail, tc.want)):
				t.Errorf("%s: want one error at %s with %q, got %v", tc.reason, path, tc.want, errs)
			}
		})
	}
}

func TestCheckPolicies(t *testing.T) {
	tests := map[string]struct {
		reason string
		check  func(string, *field.Path) field.ErrorList
		text   string
		want   string
	}{
		"Selector":       {reason: "the usual choice of members", check: CheckSelector, text: `cluster.spec.region == "eu"`},
		"SelectorField":  {reason: "a field that cluster has not is found before the policy is in use", check: CheckSelector, text: `cluster.status.nodeSummary.readyNum > 3`, want: "must be a CEL expression: line 1, column 15: undefined field 'nodeSummary'"},
		"SelectorResult": {reason: "a choice is yes or no", check: CheckSelector, text: `cluster.spec.region`, want: "must return bool, not string"},
		"Override":       {reason: "an apply configuration", check: CheckOverride, text: `Object{spec: Object.spec{replicas: object.spec.replicas}}`},
		"OverrideResult": {reason: "a map says nothing about its fields", check: CheckOverride, text: `{"spec": 1}`, want: "must return Object"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			errs := tc.check(tc.text, field.NewPath("spec"))
			switch {
			case tc.want == "" && len(errs) > 0:
				t.Errorf("%s: want no error, got %v", tc.reason, errs)
			case tc.want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Detail, tc.want)):
				t.Errorf("%s: want one error with %q, got %v", tc.reason, tc.want, errs)
			}
		})
	}
}

// FuzzCheck looks for text that makes the parser panic or hang.
func FuzzCheck(f *testing.F) {
	f.Add(`cluster.spec.region == "eu"`)
	f.Add(`Object{spec: Object.spec{replicas: 1}}`)
	f.Add(strings.Repeat("[", 400))
	f.Fuzz(func(_ *testing.T, text string) {
		CheckRule(interpreter.HealthInterpretation, text, field.NewPath("expression"))
	})
}
