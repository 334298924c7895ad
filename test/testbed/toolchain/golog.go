// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"fmt"
	"strings"
)

// goLog sums up what "go build -v" writes: packages as they are compiled, modules
// as they are downloaded, and anything else, which matters when it fails.
type goLog struct {
	compiled   int
	downloaded int
	other      []string
}

// maxFailureLines bounds what a failed build prints.
const maxFailureLines = 30

func (l *goLog) add(line string) {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		l.downloaded++
	case line == "" || strings.HasPrefix(line, "#"):
	case isImportPath(line):
		l.compiled++
	default:
		l.other = append(l.other, line)
	}
}

// idle tells that the go command found nothing to do so far.
func (l *goLog) idle() bool { return l.compiled == 0 && l.downloaded == 0 }

func (l *goLog) progress() string {
	if l.compiled == 0 {
		return fmt.Sprintf("%d modules downloaded", l.downloaded)
	}
	return fmt.Sprintf("%d packages compiled", l.compiled)
}

func (l *goLog) failure() []string {
	return l.other[:min(len(l.other), maxFailureLines)]
}

// isImportPath tells a line that is a package from one that is a message.
func isImportPath(line string) bool {
	return !strings.ContainsAny(line, " \t:")
}
