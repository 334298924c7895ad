// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"fleet.dev/fleet/test/testbed/toolchain"
)

// stages are what objects of a bed do, beyond kwok's own stages. The files are Go
// templates over stageValues, with delimiters that kwok's own templates do not use.
//
//go:embed kwok/*.yaml
var stages embed.FS

const (
	stagesDir  = "kwok"
	leftDelim  = "<<"
	rightDelim = ">>"
)

// stageValues are what stage files may refer to.
type stageValues struct {
	// Member is the member's name.
	Member string
	// PodLog is a file in the CRI's log format.
	PodLog string
	// Root tells whether kwok may become another user.
	Root bool
	// PortForward is the command behind each port of a Pod, a list in YAML.
	PortForward string
}

// podLogMessages are what every pod of a bed logs.
var podLogMessages = []string{"starting", "listening on :8080", "ready"}

// podLogFile is the log of all pods of a member.
const podLogFile = "pod.log"

// LogInPods adds a line to the log of the member's pods, which they share.
func (m *Member) LogInPods(message string) error {
	file, err := os.OpenFile(filepath.Join(m.layout.kwokDir(), podLogFile), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(criLog([]string{message}, m.bed.cfg.Now()))
	return errors.Join(err, file.Close())
}

// kwokConfigFile is the one configuration file kwok gets.
const kwokConfigFile = "kwok.yaml"

// writeKwokConfig fills dir with what kwok reads: kwok's own stages from the
// binaries directory and the bed's, as documents of one file, and the pods' log.
func writeKwokConfig(dir, bin string, values stageValues, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	values.PodLog = filepath.Join(dir, podLogFile)
	documents, err := stockStages(filepath.Join(bin, toolchain.StagesDir))
	if err != nil {
		return err
	}
	own, err := ownStages(values)
	if err != nil {
		return err
	}
	documents = append(documents, own...)
	if err := os.WriteFile(values.PodLog, []byte(criLog(podLogMessages, now)), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, kwokConfigFile), bytes.Join(documents, []byte("\n---\n")), 0o600)
}

// stockStages reads kwok's own stages.
func stockStages(dir string) ([][]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("find kwok's stages in %s: %w", dir, errNotBuilt)
	}
	var out [][]byte
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		out = append(out, raw)
	}
	return out, nil
}

// ownStages are the bed's stages, rendered.
func ownStages(values stageValues) ([][]byte, error) {
	all, err := template.New(stagesDir).Delims(leftDelim, rightDelim).ParseFS(stages, stagesDir+"/*.yaml")
	if err != nil {
		return nil, err
	}
	entries, err := stages.ReadDir(stagesDir)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, entry := range entries {
		var document bytes.Buffer
		if err := all.ExecuteTemplate(&document, entry.Name(), values); err != nil {
			return nil, err
		}
		out = append(out, document.Bytes())
	}
	return out, nil
}

// criLog formats messages as a container runtime does: time, stream, tag, text.
func criLog(messages []string, now time.Time) string {
	var out strings.Builder
	for _, message := range messages {
		fmt.Fprintf(&out, "%s stdout F %s\n", now.UTC().Format(time.RFC3339Nano), message)
	}
	return out.String()
}
