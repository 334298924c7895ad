// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	tail := " 1 10 10 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 1 2"
	cases := map[string]struct {
		reason  string
		line    string
		want    procStat
		wantErr string
	}{
		"Plain": {
			reason: "threads are field 20 and the start time is field 22",
			line:   "42 (etcd) S" + tail,
			want:   procStat{state: 'S', threads: 9, started: 123456},
		},
		"NameWithParentheses": {
			reason: "a program may put anything into its name",
			line:   "42 (a) Z (b) R" + tail,
			want:   procStat{state: 'R', threads: 9, started: 123456},
		},
		"Short":      {reason: "a cut line is an error", line: "42 (etcd) S 1 2", wantErr: "too few fields"},
		"Empty":      {reason: "no line is an error, not a crash", line: "", wantErr: "too few fields"},
		"NotANumber": {reason: "a start time must be a number", line: "42 (etcd) S" + strings.Replace(tail, "123456", "x", 1), wantErr: "invalid syntax"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat(tc.line)
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Fatalf("%s: got error %v, want %q", tc.reason, err, tc.wantErr)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(procStat{})); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestIdentityAlive(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	later, otherBoot := self, self
	later.Started++
	otherBoot.Boot = "another"
	cases := map[string]struct {
		reason string
		id     identity
		want   bool
	}{
		"Self":      {"this process runs", self, true},
		"PIDReused": {"a process with our pid and another start time is a stranger", later, false},
		"Rebooted":  {"a process of another boot is a stranger", otherBoot, false},
		"Never":     {"what was never started does not run", identity{}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.id.alive(); got != tc.want {
				t.Errorf("%s: got %v", tc.reason, got)
			}
		})
	}
}
