// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commandTimeout bounds one run of a client.
const commandTimeout = 2 * time.Minute

// outcome is how a command ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// command is a run of a program as a user does it at a terminal.
type command struct {
	kubeconfig string
	// path precedes the binaries directory in PATH.
	path  string
	stdin string
	// env is added to the environment.
	env []string
}

// run runs a program of the binaries directory, or of PATH, and returns how it
// ended. It fails the test only when the program cannot be run or does not end.
func (c command) run(t *testing.T, program string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
	defer cancel()
	out, err := c.start(ctx, program, args...)
	if err != nil {
		t.Fatalf("run %s %s: %v", program, strings.Join(args, " "), err)
	}
	return out
}

func (c command) start(ctx context.Context, program string, args ...string) (outcome, error) {
	if file := filepath.Join(bed.bin, program); !strings.Contains(program, "/") && exists(file) {
		program = file
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = c.environment()
	cmd.Dir = bed.dir
	cmd.Stdin = strings.NewReader(c.stdin)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := outcome{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if _, exited := errors.AsType[*exec.ExitError](err); exited && ctx.Err() == nil {
		err = nil
	}
	return out, errors.Join(err, ctx.Err())
}

// environment is a home of this run alone, so that no cache and no configuration
// of the machine's user plays in.
func (c command) environment() []string {
	home := filepath.Join(bed.dir, "home")
	path := bed.bin + string(filepath.ListSeparator) + os.Getenv("PATH")
	if c.path != "" {
		path = c.path + string(filepath.ListSeparator) + path
	}
	return append([]string{"PATH=" + path, "HOME=" + home, "KUBECONFIG=" + c.kubeconfig, "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8"}, c.env...)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// must returns the standard output of a command that has to succeed.
func must(t *testing.T, c command, program string, args ...string) string {
	t.Helper()
	out := c.run(t, program, args...)
	if out.code != 0 {
		t.Fatalf("%s %s: exit status %d\n%s%s", program, strings.Join(args, " "), out.code, out.stdout, out.stderr)
	}
	return out.stdout
}

// asAdmin runs commands as the fleet's administrator.
func asAdmin() command { return command{kubeconfig: bed.fleet.Kubeconfig()} }
