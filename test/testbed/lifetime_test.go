// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// lifetimeEnv makes this test binary start one process and hang; see TestLifetimes.
const lifetimeEnv = "FLEET_TESTBED_LIFETIME"

// startAndHang prints the pid of a process it starts and waits to be killed.
func startAndHang(detached bool) {
	p := &Process{
		name: "child", path: "/bin/sleep", args: []string{"60"}, detached: detached,
		logFile: filepath.Join(os.TempDir(), "fleet-testbed-lifetime.log"),
		started: func(string, identity) error { return nil },
	}
	if err := p.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.PID())
	select {}
}

func TestLifetimes(t *testing.T) {
	cases := map[string]struct {
		reason string
		want   bool
	}{
		"attached": {"a test that is killed must leave no process behind", false},
		"detached": {"the playground must outlive make", true},
	}
	for mode, tc := range cases {
		t.Run(mode, func(t *testing.T) {
			parent := exec.CommandContext(t.Context(), os.Args[0])
			parent.Env = append(os.Environ(), lifetimeEnv+"="+mode, "TMPDIR="+t.TempDir())
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			child, err := identify(pid)
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // killed, as asked
			adopted := &Process{name: "child", id: child}
			defer func() {
				if err := adopted.Kill(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			if tc.want {
				if !adopted.Alive() {
					t.Errorf("%s", tc.reason)
				}
				return
			}
			gone := func(context.Context) (bool, error) { return !child.alive(), nil }
			if err := wait.PollUntilContextTimeout(t.Context(), pollInterval, time.Minute, true, gone); err != nil {
				t.Errorf("%s: %v", tc.reason, err)
			}
		})
	}
}
