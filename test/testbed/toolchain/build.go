// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Config says where to build.
type Config struct {
	// Repo is the root of the repository.
	Repo string
	// Bin is the directory that receives the programs. It is created when missing.
	Bin string
	// Report receives one line per step and one every few seconds while a step
	// takes long. Required.
	Report func(line string)
}

const (
	// heartbeat is how often the progress of a go command is reported.
	heartbeat = 10 * time.Second
	// interruptDelay is how long an interrupted go command may take to end.
	interruptDelay = 10 * time.Second
)

// Ensure builds every program of the test bed that is missing from c.Bin or not
// of the pinned version. It does not touch programs that are up to date, and a
// running program keeps its file: a new one is moved into its place.
func Ensure(ctx context.Context, c Config) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()

	stale, err := c.buildStale(ctx, programs())
	if err != nil {
		return err
	}
	if err := c.run(ctx, Netns, mainDir, "build", "-v", "-buildvcs=false", "-o", filepath.Join(c.Bin, Netns), "./test/testbed/netns"); err != nil {
		return err
	}
	if err := c.link(); err != nil {
		return err
	}
	if slices.ContainsFunc(stale, batch.hasKwok) || !c.hasStages() {
		return c.copyStages(ctx)
	}
	return nil
}

// EnsureOldRelease builds the control plane of an old release of Kubernetes, where it
// is missing, into the directory OldRelease below c.Bin. No program of Ensure needs
// it, and a cold machine takes several minutes.
func EnsureOldRelease(ctx context.Context, c Config) error {
	c.Bin = filepath.Join(c.Bin, OldRelease)
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = c.buildStale(ctx, controlPlane(oldDir))
	return err
}

// EnsureMetricsServer builds metrics-server, where it is missing, into c.Bin. No program
// of Ensure needs it.
func EnsureMetricsServer(ctx context.Context, c Config) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = c.buildStale(ctx, []program{
		{MetricsServer, metricsServerModule + "/cmd/metrics-server", metricsServerModule, metricsServerDir, plainLDFlags},
	})
	return err
}

// EnsureConformance builds Kubernetes' own end-to-end tests, of the release that the
// members run, as the program named Conformance in c.Bin. No other program needs it,
// and a cold machine takes several minutes. The go command decides whether anything
// has to be compiled.
func EnsureConformance(ctx context.Context, c Config) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c.Report("compiling Kubernetes' own end-to-end tests (several minutes on a cold machine)")
	return c.run(ctx, Conformance, conformanceDir, "test", "-c", "-vet=off", "-ldflags", "-s -w",
		"-o", filepath.Join(c.Bin, Conformance), kubernetes+"/test/e2e")
}

// buildStale builds those of the programs that are missing or not of the pinned
// version, and returns what it built.
func (c Config) buildStale(ctx context.Context, all []program) ([]batch, error) {
	pins, err := c.pins(ctx, all)
	if err != nil {
		return nil, err
	}
	stale := batches(c.Bin, all, pins)
	for _, b := range stale {
		if err := c.build(ctx, b, pins); err != nil {
			return nil, err
		}
	}
	return stale, nil
}

// EnsureFleet builds cmd/fleet of the repository, and cmd/syncer, which is the agent
// of members that dial out, with the given linker flags into c.Bin. The go command
// decides whether anything has to be done.
func EnsureFleet(ctx context.Context, c Config, ldflags string) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return c.run(ctx, "fleet", mainDir, "build", "-v", "-ldflags", ldflags, "-o", c.Bin+string(filepath.Separator), "./cmd/fleet", "./cmd/syncer")
}

// lock makes c.Bin and takes the build lock in it, waiting for another build to end.
func (c Config) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.Bin, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(c.Bin, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	fd := int(f.Fd())
	if err = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		c.Report("waiting for another build into " + c.Bin)
		err = c.await(ctx, fd)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// await retries the lock until it is free or ctx ends.
func (c Config) await(ctx context.Context, fd int) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
	}
}

// pins asks the go command for the selected versions of the programs' modules.
func (c Config) pins(ctx context.Context, all []program) (map[string]pin, error) {
	modules := map[string][]string{}
	for _, p := range all {
		if !slices.Contains(modules[p.dir], p.module) {
			modules[p.dir] = append(modules[p.dir], p.module)
		}
	}
	out := map[string]pin{}
	for _, dir := range slices.Sorted(maps.Keys(modules)) {
		cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-m", "-json"}, modules[dir]...)...)
		cmd.Dir = filepath.Join(c.Repo, dir)
		raw, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("read pinned versions in %s: %w", cmd.Dir, withStderr(err))
		}
		for decoder := json.NewDecoder(strings.NewReader(string(raw))); decoder.More(); {
			var p pin
			if err := decoder.Decode(&p); err != nil {
				return nil, fmt.Errorf("read pinned versions in %s: %w", cmd.Dir, err)
			}
			out[p.Path] = p
		}
	}
	return out, nil
}

// build runs one go command into a scratch directory and moves its results to c.Bin.
func (c Config) build(ctx context.Context, b batch, pins map[string]pin) error {
	scratch, err := os.MkdirTemp(c.Bin, ".build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	var names, pkgs []string
	for _, p := range b.programs {
		names = append(names, p.name+" "+pins[p.module].Version)
		pkgs = append(pkgs, p.pkg)
	}
	args := append([]string{"build", "-v", "-ldflags", b.ldflags, "-o", b.output(scratch)}, pkgs...)
	if err := c.run(ctx, strings.Join(names, ", "), b.dir, args...); err != nil {
		return err
	}
	for _, p := range b.programs {
		if err := os.Rename(filepath.Join(scratch, p.name), filepath.Join(c.Bin, p.name)); err != nil {
			return err
		}
	}
	return nil
}

// run runs the go command in a module of the repository and reports its progress.
func (c Config) run(ctx context.Context, what, dir string, args ...string) error {
	started := time.Now()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(c.Repo, dir)
	// Interrupted, the go command removes what it has in the temporary directory.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptDelay
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", what, err)
	}
	log := c.follow(stderr, what)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", what, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, strings.Join(log.failure(), "\n"))
	}
	if !log.idle() {
		c.Report(fmt.Sprintf("built %s in %.0f s", what, time.Since(started).Seconds()))
	}
	return nil
}

// follow reads a go command's output to its end, reporting at every heartbeat.
func (c Config) follow(output io.Reader, what string) *goLog {
	lines := make(chan string)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(output)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
		_, _ = io.Copy(io.Discard, output)
	}()

	log := &goLog{}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case line, open := <-lines:
			if !open {
				return log
			}
			idle := log.idle()
			if log.add(line); idle && !log.idle() {
				c.Report("building " + what)
			}
		case <-tick.C:
			c.Report("  " + log.progress())
		}
	}
}

func (c Config) link() error {
	for name, target := range links {
		file := filepath.Join(c.Bin, name)
		if current, err := os.Readlink(file); err == nil && current == target {
			continue
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(target, file); err != nil {
			return err
		}
	}
	return nil
}

// hasStages tells whether every stage file is beside the programs.
func (c Config) hasStages() bool {
	return !slices.ContainsFunc(stages, func(stage string) bool {
		_, err := os.Stat(c.stageFile(stage))
		return err != nil
	})
}

func (c Config) stageFile(stage string) string {
	return filepath.Join(c.Bin, StagesDir, path.Base(stage))
}

// copyStages brings kwok's stage files beside the programs, so that a test bed
// needs the binaries directory alone.
func (c Config) copyStages(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", kwokModule)
	cmd.Dir = filepath.Join(c.Repo, kwokDir)
	raw, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("find the sources of %s: %w", kwokModule, withStderr(err))
	}
	var kwok pin
	if err := json.Unmarshal(raw, &kwok); err != nil {
		return fmt.Errorf("find the sources of %s: %w", kwokModule, err)
	}
	if err := os.MkdirAll(filepath.Join(c.Bin, StagesDir), 0o755); err != nil {
		return err
	}
	for _, stage := range stages {
		raw, err := os.ReadFile(filepath.Join(kwok.Dir, stage))
		if err != nil {
			return fmt.Errorf("copy stages of %s %s: %w", kwokModule, kwok.Version, err)
		}
		if err := os.WriteFile(c.stageFile(stage), raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func withStderr(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
