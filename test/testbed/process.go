// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// pollInterval is how often a state of the outside world is looked at.
	pollInterval = 50 * time.Millisecond
	// killTimeout bounds the wait for the kernel to end a killed process.
	killTimeout = 30 * time.Second
)

// Process is one program of a bed: what to run and, once started, who it is.
type Process struct {
	name     string
	path     string
	args     []string
	logFile  string
	detached bool
	// ownNetwork starts it in a network namespace of its own.
	ownNetwork bool
	// within is the process whose network namespace it runs in, nil for ours.
	within *Process
	// started records the identity of a new process.
	started func(name string, id identity) error

	mu     sync.Mutex
	id     identity
	exited *exit // nil for an adopted process
}

// exit is how a process that this program started ended.
type exit struct {
	done chan struct{}
	err  error // valid once done is closed
}

// Name is unique in a bed, for example "member1/kube-apiserver".
func (p *Process) Name() string { return p.name }

// LogFile is what the process writes to; starting it again appends.
func (p *Process) LogFile() string { return p.logFile }

// PID is the process id, also after the process ended; 0 when it never started.
func (p *Process) PID() int {
	id, _ := p.snapshot()
	return id.PID
}

// Alive tells whether the process runs. A paused process does.
func (p *Process) Alive() bool {
	id, _ := p.snapshot()
	return id.alive()
}

// ResidentBytes is the physical memory the process uses now.
func (p *Process) ResidentBytes() (int64, error) {
	return residentBytes(p.PID())
}

// Outdated tells whether the program's file was replaced since the process started.
func (p *Process) Outdated() bool {
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID()))
	return err == nil && strings.HasSuffix(target, " (deleted)") && p.Alive()
}

// Start starts the process unless it runs. It does not wait for readiness.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.id.alive() {
		return nil
	}
	if err := p.launch(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return p.started(p.name, p.id)
}

// Kill ends the process at once (SIGKILL) and waits until it is gone. A process
// that does not run is fine.
func (p *Process) Kill(ctx context.Context) error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return p.waitGone(ctx, killTimeout)
}

// Terminate asks the process to end (SIGTERM), waits up to grace and kills it
// after that. The error is not nil when it had to be killed or, for a process
// that this program started, when it ended with a status other than 0.
func (p *Process) Terminate(ctx context.Context, grace time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.waitGone(ctx, grace); err != nil {
		return errors.Join(fmt.Errorf("terminate %s: still running after %s, killed", p.name, grace), p.Kill(ctx))
	}
	if _, exited := p.snapshot(); exited != nil {
		return exited.err
	}
	return nil
}

// Pause stops the process from running (SIGSTOP): its sockets stay open and
// nobody answers, as when a machine hangs.
func (p *Process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume undoes Pause (SIGCONT).
func (p *Process) Resume() error { return p.signal(syscall.SIGCONT) }

// Restart kills the process and starts it again.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Kill(ctx); err != nil {
		return err
	}
	return p.Start(ctx)
}

// setArgs changes the arguments for the next start.
func (p *Process) setArgs(args []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.args = args
}

func (p *Process) snapshot() (identity, *exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id, p.exited
}

// launch starts the program in a process group of its own. Callers hold p.mu.
func (p *Process) launch() error {
	if err := os.MkdirAll(filepath.Dir(p.logFile), 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()

	path, args := p.path, p.args
	if p.within != nil {
		path, args = nsenter, enter(p.within, p)
	}
	cmd := exec.Command(path, args...) //nolint:noctx // it outlives the call, and Kill ends it
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environment(os.Environ(), filepath.Dir(p.logFile))
	cmd.SysProcAttr = p.attributes()
	exited := &exit{done: make(chan struct{})}
	startErr := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the starting thread ends, so the
		// thread must live as long as the child (go.dev/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			startErr <- err
			return
		}
		close(startErr)
		exited.err = cmd.Wait()
		close(exited.done)
	}()
	if err := <-startErr; err != nil {
		return err
	}
	p.exited = exited
	// A child that ended already stays a zombie until Wait, so this may fail
	// only when Wait was faster; the process is then known to be gone.
	p.id, err = identify(cmd.Process.Pid)
	if errors.Is(err, os.ErrNotExist) {
		p.id = identity{PID: cmd.Process.Pid}
		return nil
	}
	return err
}

// nsenter is the program of util-linux, part of every distribution.
const nsenter = "nsenter"

// attributes are what the process gets from the kernel.
func (p *Process) attributes() *syscall.SysProcAttr {
	out := &syscall.SysProcAttr{Setsid: true}
	if !p.detached {
		out.Pdeathsig = syscall.SIGKILL
	}
	if !p.ownNetwork {
		return out
	}
	out.Cloneflags = syscall.CLONE_NEWNET
	if !mayUnshare() {
		out.Cloneflags |= syscall.CLONE_NEWUSER
		out.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		out.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return out
}

// environment is what programs of a bed see: ours without the variables that
// would point them at another cluster or at configuration in a home directory.
func environment(ours []string, workDir string) []string {
	out := []string{"KWOK_WORKDIR=" + workDir}
	for _, kv := range ours {
		name, _, _ := strings.Cut(kv, "=")
		if name == "KUBECONFIG" || strings.HasPrefix(name, "KWOK_") || strings.HasPrefix(name, "ETCD_") {
			continue
		}
		out = append(out, kv)
	}
	return out
}

// signal signals the process group if the process is still the one started.
func (p *Process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.id.alive() {
		return nil
	}
	if err := syscall.Kill(-p.id.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s (pid %d) with %s: %w", p.name, p.id.PID, sig, err)
	}
	return nil
}

// waitGone waits until the process has ended and, if it is ours, was waited for.
func (p *Process) waitGone(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	id, exited := p.snapshot()
	if exited != nil {
		select {
		case <-exited.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("wait for %s (pid %d) to end: %w", p.name, id.PID, ctx.Err())
		}
	}
	gone := func(context.Context) (bool, error) { return !id.alive(), nil }
	if err := wait.PollUntilContextCancel(ctx, pollInterval, true, gone); err != nil {
		return fmt.Errorf("wait for %s (pid %d) to end: %w", p.name, id.PID, err)
	}
	return nil
}

// await waits until ready answers true. It gives up when the process ends, or
// after timeout with the last error of ready, and then names the log to look at.
func (p *Process) await(ctx context.Context, timeout time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		if !p.Alive() {
			return false, errors.New("it ended")
		}
		if err := ready(ctx); ctx.Err() == nil {
			last = err
		}
		return last == nil && ctx.Err() == nil, nil
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("wait for %s: not ready after %s (%w), see %s", p.name, timeout, last, p.logFile)
	default:
		return fmt.Errorf("wait for %s: %w, see %s: %s", p.name, err, p.logFile, lastLine(p.logFile))
	}
}

// lastLine is the last line of a file, shortened; empty when there is none.
func lastLine(file string) string {
	const maxTail, maxLine = 4096, 300
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > maxTail {
		_, _ = f.Seek(-maxTail, 2)
	}
	tail := make([]byte, maxTail)
	n, _ := f.Read(tail)
	lines := strings.Split(strings.TrimSpace(string(tail[:n])), "\n")
	line := lines[len(lines)-1]
	return line[:min(len(line), maxLine)]
}
