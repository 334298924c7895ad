// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// auditPolicy logs every write of the groups, when it is answered. It leaves out
// reviews, which are questions, and what nobody asked to see.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources:
  - group: authentication.k8s.io
  - group: authorization.k8s.io
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]%s
- level: None
`

// WriteAuditPolicy writes an audit policy that logs the writes of members of one
// of groups, of everybody when there are none.
func WriteAuditPolicy(file string, groups ...string) error {
	who := ""
	if len(groups) > 0 {
		who = "\n  userGroups: [\"" + strings.Join(groups, `", "`) + `"]`
	}
	return os.WriteFile(file, fmt.Appendf(nil, auditPolicy, who), 0o600)
}

// Write is one answered request that could change something.
type Write struct {
	At   time.Time
	Verb string
	User string
	// Impersonated is the user that User asked as, if not as itself.
	Impersonated string
	UserAgent    string
	Group        string
	Resource     string
	Subresource  string
	Namespace    string
	Name         string
	// Code is the HTTP status of the answer.
	Code int
	// DryRun says that the request asked to change nothing.
	DryRun bool
}

// String is one line for people.
func (w Write) String() string {
	resource := w.Resource
	if w.Group != "" {
		resource += "." + w.Group
	}
	if w.Subresource != "" {
		resource += "/" + w.Subresource
	}
	user := w.User
	if w.Impersonated != "" {
		user += " as " + w.Impersonated
	}
	return fmt.Sprintf("%s %s %s %s/%s by %s (%s): %d",
		w.At.Format("15:04:05.000"), w.Verb, resource, w.Namespace, w.Name, user, w.UserAgent, w.Code)
}

// AuditLog reads the audit log that an API server writes to File.
type AuditLog struct {
	File string
}

// Mark is a position in an audit log.
type Mark int64

// Mark is the end of the log now: everything answered before is before it.
func (l AuditLog) Mark() (Mark, error) {
	info, err := os.Stat(l.File)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("mark audit log: %w", err)
	}
	return Mark(info.Size()), nil
}

// Since are the writes from a mark on that match, all when match is nil. Dry runs
// are left out.
func (l AuditLog) Since(mark Mark, match func(Write) bool) ([]Write, error) {
	file, err := os.Open(l.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(int64(mark), io.SeekStart); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	var out []Write
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, nil // a line without its end is still being written
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		w, err := parseWrite(line)
		if err != nil {
			return nil, fmt.Errorf("read audit log %s: %w", l.File, err)
		}
		if !w.DryRun && (match == nil || match(w)) {
			out = append(out, w)
		}
	}
}

func parseWrite(line []byte) (Write, error) {
	var event struct {
		StageTimestamp time.Time
		RequestURI     string
		Verb           string
		UserAgent      string
		User           struct{ Username string }
		// ImpersonatedUser is absent from most events.
		ImpersonatedUser struct{ Username string }
		ObjectRef        struct{ APIGroup, Resource, Subresource, Namespace, Name string }
		ResponseStatus   struct{ Code int }
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return Write{}, fmt.Errorf("parse audit event %q: %w", line, err)
	}
	return Write{
		At:           event.StageTimestamp,
		Verb:         event.Verb,
		User:         event.User.Username,
		Impersonated: event.ImpersonatedUser.Username,
		UserAgent:    event.UserAgent,
		Group:        event.ObjectRef.APIGroup,
		Resource:     event.ObjectRef.Resource,
		Subresource:  event.ObjectRef.Subresource,
		Namespace:    event.ObjectRef.Namespace,
		Name:         event.ObjectRef.Name,
		Code:         event.ResponseStatus.Code,
		DryRun:       strings.Contains(event.RequestURI, "dryRun=All"),
	}, nil
}

// Lines joins writes for people, one per line.
func Lines(writes []Write) string {
	var out strings.Builder
	for _, w := range writes {
		out.WriteString(w.String())
		out.WriteByte('\n')
	}
	return out.String()
}
