// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"errors"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/expression"
	"fleet.dev/fleet/pkg/interpreter"
)

// CheckSelector accepts text that selects members: CEL over the fields that
// cluster has, with a yes or no for a result.
func CheckSelector(text string, path *field.Path) field.ErrorList {
	return check(text, path, func(text string) error {
		_, err := expression.CompileSelector(text)
		return err
	})
}

// CheckOverride accepts text that overrides: CEL over a template and the facts of
// a member, with an apply configuration for a result.
func CheckOverride(text string, path *field.Path) field.ErrorList {
	return check(text, path, func(text string) error {
		_, err := expression.CompileOverride(text)
		return err
	})
}

// CheckRule accepts text that answers a rule of a ResourceInterpreterCustomization.
func CheckRule(rule interpreter.Rule, text string, path *field.Path) field.ErrorList {
	return check(text, path, func(text string) error { return interpreter.Check(rule, text) })
}

// check is silent about text that is empty or too long, of which validation has
// spoken.
func check(text string, path *field.Path, compile func(text string) error) field.ErrorList {
	if strings.TrimSpace(text) == "" || len(text) > fieldcheck.MaxExpressionLength {
		return nil
	}
	err := compile(text)
	switch compileError, ok := errors.AsType[*expression.CompileError](err); {
	case err == nil:
		return nil
	case ok:
		return field.ErrorList{field.Invalid(path, text, "must be a CEL expression: "+compileError.Error())}
	default:
		return field.ErrorList{field.Invalid(path, text, err.Error())}
	}
}
