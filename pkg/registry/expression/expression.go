// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/environment"

	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/expression"
)

// parser is made once, at first use: it is large, and most objects have no
// expression.
var parser = sync.OnceValues(func() (*cel.Env, error) {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Env(environment.NewExpressions)
})

// Check accepts text that is CEL. It is silent about text that is empty or too
// long, of which validation has spoken.
func Check(text string, path *field.Path) field.ErrorList {
	return check(text, path, parse)
}

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

func parse(text string) error {
	env, err := parser()
	if err != nil {
		return fmt.Errorf("make CEL environment: %w", err)
	}
	if _, issues := env.Parse(text); issues.Err() != nil {
		return expression.NewCompileError(issues)
	}
	return nil
}
