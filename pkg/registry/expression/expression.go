// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/environment"

	"fleet.dev/fleet/pkg/apis/fieldcheck"
)

// parser is made once, at first use: it is large, and most objects have no
// expression.
var parser = sync.OnceValues(func() (*cel.Env, error) {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Env(environment.NewExpressions)
})

// Check accepts text that is CEL. It is silent about text that is empty or too
// long, of which validation has spoken.
func Check(text string, path *field.Path) field.ErrorList {
	if strings.TrimSpace(text) == "" || len(text) > fieldcheck.MaxExpressionLength {
		return nil
	}
	env, err := parser()
	if err != nil {
		return field.ErrorList{field.InternalError(path, fmt.Errorf("make CEL environment: %w", err))}
	}
	if _, issues := env.Parse(text); issues.Err() != nil {
		return field.ErrorList{field.Invalid(path, text, "must be a CEL expression: "+oneLine(issues))}
	}
	return nil
}

// maxIssues bounds the message: after a first mistake most of what a parser says
// follows from it.
const maxIssues = 3

// oneLine says what is wrong and where. Unlike the text of issues it draws no
// picture, which would not survive a log or a terminal's line breaks.
func oneLine(issues *cel.Issues) string {
	found := issues.Errors()
	var texts []string
	for _, issue := range found[:min(len(found), maxIssues)] {
		texts = append(texts, fmt.Sprintf("line %d, column %d: %s", issue.Location.Line(), issue.Location.Column()+1, issue.Message))
	}
	return strings.Join(texts, "; ")
}
