// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"
)

// shell is a process that runs a script; recorded identities go to ids.
func shell(t *testing.T, script string, ids *[]identity) *Process {
	t.Helper()
	p := &Process{
		name:    "script",
		path:    "/bin/sh",
		args:    []string{"-c", script},
		logFile: filepath.Join(t.TempDir(), "script.log"),
		started: func(_ string, id identity) error {
			if ids != nil {
				*ids = append(*ids, id)
			}
			return nil
		},
	}
	t.Cleanup(func() {
		if err := p.Kill(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProcessStartsOnce(t *testing.T) {
	var ids []identity
	p := shell(t, "sleep 60", &ids)
	for range 2 {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 1 || !p.Alive() || p.PID() != ids[0].PID {
		t.Errorf("a running process must be left alone: started %v, alive %v", ids, p.Alive())
	}
	if err := p.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 2 || ids[0].alive() || !ids[1].alive() {
		t.Errorf("a restart replaces the process: %v", ids)
	}
}

func TestProcessKillEndsTheGroup(t *testing.T) {
	p := shell(t, "sleep 60 & echo $!; wait", nil)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var child identity
	if err := p.await(t.Context(), time.Minute, func(context.Context) error {
		pid, err := strconv.Atoi(lastLine(p.LogFile()))
		if err != nil {
			return err
		}
		child, err = identify(pid)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("a killed process must be gone, also when it was paused")
	}
	gone := func(context.Context) (bool, error) { return !child.alive(), nil }
	if err := wait.PollUntilContextTimeout(t.Context(), pollInterval, time.Minute, true, gone); err != nil {
		t.Error("a child of a killed process must be killed with it")
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Errorf("killing what is gone is fine: %v", err)
	}
}

func TestProcessTerminate(t *testing.T) {
	cases := map[string]struct {
		reason  string
		script  string
		grace   time.Duration
		wantErr string
	}{
		"Clean":    {"a process that ends with 0 ended well", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done", time.Minute, ""},
		"Failing":  {"the exit status is reported", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done", time.Minute, "exit status 3"},
		"Stubborn": {"a process that does not end is killed, and that is an error", "trap '' TERM; echo up; while :; do sleep 0.05; done", 200 * time.Millisecond, "still running after 200ms, killed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := shell(t, tc.script, nil)
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.await(t.Context(), time.Minute, func(context.Context) error {
				if lastLine(p.LogFile()) != "up" {
					return errors.New("not up")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			err := p.Terminate(t.Context(), tc.grace)
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.wantErr)
			}
			if p.Alive() {
				t.Errorf("%s: it still runs", tc.reason)
			}
		})
	}
}

func TestProcessAwaitNamesTheLog(t *testing.T) {
	never := func(context.Context) error { return errors.New("connection refused") }
	cases := map[string]struct {
		reason string
		script string
		limit  time.Duration
		want   []string
	}{
		"Ended":   {"a process that ended is not waited for; its last words are in the error", "echo starting; echo no such flag; exit 1", time.Minute, []string{"it ended", "script.log", "no such flag"}},
		"TooLate": {"a deadline names what was not ready and why", "sleep 60", 300 * time.Millisecond, []string{"not ready after 300ms", "connection refused", "script.log"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := shell(t, tc.script, nil)
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := p.await(t.Context(), tc.limit, never)
			if err == nil {
				t.Fatal("want an error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %q lacks %q", tc.reason, err, want)
				}
			}
		})
	}
}

func TestProcessStartFails(t *testing.T) {
	p := shell(t, "", nil)
	p.path = "/nonexistent/program"
	err := p.Start(t.Context())
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "start script: ") {
		t.Errorf("a missing program must be named: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"PATH=/bin", "KUBECONFIG=/x", "ETCD_NAME=x", "KWOK_KUBECONFIG=x", "HOME=/root"}, "/logs")
	slices.Sort(got)
	want := []string{"HOME=/root", "KWOK_WORKDIR=/logs", "PATH=/bin"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables that point elsewhere must not reach the bed: -want +got:\n%s", diff)
	}
}
