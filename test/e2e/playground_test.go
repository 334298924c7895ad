// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// playgroundTimeout bounds one command of the playground: with everything built, a
// minute on an idle machine.
const playgroundTimeout = 4 * time.Minute

// TestPlayground brings a playground up and down, each twice, with one member, on
// ports and in a directory of its own.
func TestPlayground(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "playground")
	ctx, cancel := context.WithTimeout(t.Context(), playgroundTimeout)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./hack/playground")
	build.Dir = bed.repo
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the playground: %v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "run")
	play := func(command string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), playgroundTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, append([]string{command, "--dir", dir}, args...)...)
		cmd.Dir = bed.repo
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("playground %s: %v\n%s", command, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { play("down") })

	flags := "--ldflags=" + ldflags(t)
	if out := play("up", "--members", "1", "--nodes", "1", flags); !strings.Contains(out, "export KUBECONFIG="+filepath.Join(dir, "fleet.kubeconfig")) {
		t.Errorf("up says how to use the playground, got\n%s", out)
	}
	before := processes(play("status"))
	if len(before) != 6 {
		t.Errorf("a playground of one member: want etcd, 4 processes of the member and the fleet, got %v", before)
	}
	user := command{kubeconfig: filepath.Join(dir, "fleet.kubeconfig")}
	if out := must(t, user, "fleet", "get", "clusters"); !strings.Contains(out, "member1") {
		t.Errorf("fleet get clusters: want member1, got\n%s", out)
	}

	if out := play("up", flags); !strings.Contains(out, "already running") {
		t.Errorf("a second up says that it is running, got\n%s", out)
	}
	if after := processes(play("status")); strings.Join(before, " ") != strings.Join(after, " ") {
		t.Errorf("a second up starts nothing: before %v, after %v", before, after)
	}

	play("down")
	for _, process := range before {
		if running(strings.Fields(process)[1]) {
			t.Errorf("down stops every process, %s runs", process)
		}
	}
	if exists(dir) {
		t.Errorf("down removes %s", dir)
	}
	if out := play("down"); !strings.Contains(out, "not running") {
		t.Errorf("a second down says that nothing runs, got\n%s", out)
	}
}

// running tells whether a process runs. One that ended may be listed for long:
// nobody waits for the orphans of a playground where the first process does not.
func running(pid string) bool {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

// ldflags are the linker flags that fleet was built with: with the same ones, the
// playground finds it up to date.
func ldflags(t *testing.T) string {
	t.Helper()
	info, err := buildinfo.ReadFile(filepath.Join(bed.bin, "fleet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range info.Settings {
		if setting.Key == "-ldflags" {
			return setting.Value
		}
	}
	return ""
}

// processes are "name pid" of what the playground's status lists.
func processes(status string) []string {
	var out []string
	for line := range strings.Lines(status) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] != "PROCESS" {
			out = append(out, fields[0]+" "+fields[1])
		}
	}
	return out
}
