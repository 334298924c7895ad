// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	createEvent = `{"stage":"ResponseComplete","requestURI":"/apis/apps/v1/namespaces/a/deployments?fieldManager=x","verb":"create",` +
		`"user":{"username":"alice"},"userAgent":"kubectl","objectRef":{"resource":"deployments","namespace":"a","name":"web","apiGroup":"apps"},` +
		`"responseStatus":{"code":201},"stageTimestamp":"2026-01-01T00:00:00Z"}` + "\n"
	dryRunEvent = `{"requestURI":"/api/v1/namespaces/a/configmaps/c?dryRun=All&force=true","verb":"patch","objectRef":{"resource":"configmaps"}}` + "\n"
	halfEvent   = `{"requestURI":"/api/v1/`
)

func TestAuditLog(t *testing.T) {
	cases := map[string]struct {
		reason string
		before string
		after  string
		want   []string
	}{
		"Empty": {
			reason: "an API server creates the file with the first event",
		},
		"SinceMark": {
			reason: "only what came after the mark counts",
			before: createEvent,
			after:  createEvent,
			want:   []string{"00:00:00.000 create deployments.apps a/web by alice (kubectl): 201"},
		},
		"DryRun": {
			reason: "a dry run changes nothing",
			after:  dryRunEvent,
		},
		"HalfWritten": {
			reason: "an event that is being written is seen the next time",
			after:  createEvent + halfEvent,
			want:   []string{"00:00:00.000 create deployments.apps a/web by alice (kubectl): 201"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			log := AuditLog{File: filepath.Join(t.TempDir(), "audit.log")}
			if tc.before != "" {
				writeFile(t, log.File, tc.before)
			}
			mark, err := log.Mark()
			if err != nil {
				t.Fatal(err)
			}
			if tc.after != "" {
				writeFile(t, log.File, tc.before+tc.after)
			}
			writes, err := log.Since(mark, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range writes {
				got = append(got, w.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResourceOf(t *testing.T) {
	cases := map[string]struct {
		reason string
		key    string
		want   string
	}{
		"Core":  {"native groups are not in the key", "/registry/configmaps/default/a", "configmaps"},
		"Fleet": {"other groups are", "/registry/work.fleet.dev/resourcebindings/default/a", "work.fleet.dev/resourcebindings"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, resourceOf(tc.key)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRequestsSince(t *testing.T) {
	post, get := Request{Verb: "POST", Resource: "events"}, Request{Verb: "GET", Resource: "pods"}
	earlier := Requests{post: 2, get: 5}
	now := Requests{post: 5, get: 5}
	if diff := cmp.Diff(Requests{post: 3}, now.Since(earlier)); diff != "" {
		t.Errorf("only what was asked in between counts: -want +got:\n%s", diff)
	}
}

func TestParseCPUTime(t *testing.T) {
	const line = "17 (a (b) c) S 1 17 17 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 1 2 3"
	got, err := parseCPUTime(line)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(2*time.Second, got); diff != "" {
		t.Errorf("user and system time add up, whatever the program's name: -want +got:\n%s", diff)
	}
}
