// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
)

// CompileError says what is wrong with an expression and where.
type CompileError struct{ issues *cel.Issues }

// NewCompileError returns the error for what a compiler found.
func NewCompileError(issues *cel.Issues) error { return &CompileError{issues: issues} }

// maxIssues bounds the message: after a first mistake most of what a compiler says
// follows from it.
const maxIssues = 3

// Error implements error, in one line: the picture that CEL draws would not
// survive a log or a terminal's line breaks.
func (e *CompileError) Error() string {
	found := e.issues.Errors()
	var texts []string
	for _, issue := range found[:min(len(found), maxIssues)] {
		texts = append(texts, fmt.Sprintf("line %d, column %d: %s", issue.Location.Line(), issue.Location.Column()+1, issue.Message))
	}
	return strings.Join(texts, "; ")
}

// inOrder says several things in one line, whatever order they were found in.
func inOrder(err error) string {
	lines := strings.Split(err.Error(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}
