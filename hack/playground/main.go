// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"fleet.dev/fleet/test/testbed/toolchain"
)

func main() {
	root := context.Background() //nolint:forbidigo // a main package makes the first context
	ctx, stop := signal.NotifyContext(root, os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "playground:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	repo    string
	dir     string
	bin     string
	members int
	nodes   int
	pull    int
	fleet   bool
	old     bool
	// conformance asks for Kubernetes' own tests.
	conformance bool
	ldflags     string
}

// commands are what the playground can do.
var commands = map[string]func(context.Context, options, *report) error{
	"build":  buildOnly,
	"up":     up,
	"status": status,
	"down":   down,
}

func run(ctx context.Context, args []string, out io.Writer) error {
	repo, err := toolchain.Repo(".")
	if err != nil {
		return err
	}
	name, o, err := parse(args, repo, out)
	if err != nil {
		return err
	}
	return commands[name](ctx, o, newReport(out))
}

// parse reads the command line. Directories default to _run and _bin of repo.
func parse(args []string, repo string, out io.Writer) (command string, o options, err error) {
	o.repo = repo
	if len(args) == 0 || commands[args[0]] == nil {
		return "", o, errors.New("say what to do: build, up, status or down")
	}
	flags := flag.NewFlagSet("playground "+args[0], flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.dir, "dir", filepath.Join(repo, "_run"), "directory of the playground")
	flags.StringVar(&o.bin, "bin", filepath.Join(repo, "_bin"), "directory of the programs")
	if args[0] == "build" {
		flags.BoolVar(&o.old, "old-release", false, "build the control plane of an old release of Kubernetes as well")
		flags.BoolVar(&o.conformance, "conformance", false, "build Kubernetes' own end-to-end tests as well")
	}
	if args[0] == "up" {
		flags.IntVar(&o.members, "members", 0, "number of member clusters (default 2, or as many as the playground has)")
		flags.IntVar(&o.nodes, "nodes", 0, "number of nodes of a new member (default 2)")
		flags.IntVar(&o.pull, "pull", 0, "number of new members, the last ones, that can only dial out and join in Pull mode")
		flags.BoolVar(&o.fleet, "fleet", true, "start a fleet and join the members")
		flags.StringVar(&o.ldflags, "ldflags", "", "linker flags of the fleet program")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return "", o, err
	}
	if flags.NArg() > 0 {
		return "", o, fmt.Errorf("read the command line: %q is not a flag", flags.Arg(0))
	}
	if slices.Min([]int{o.members, o.nodes, o.pull}) < 0 {
		return "", o, errors.New("read the command line: -members, -nodes and -pull cannot be negative")
	}
	return args[0], o, nil
}

// buildOnly is the build command.
func buildOnly(ctx context.Context, o options, r *report) error {
	if err := build(ctx, o, r); err != nil {
		return err
	}
	config := toolchain.Config{Repo: o.repo, Bin: o.bin, Report: r.step}
	if o.old {
		if err := toolchain.EnsureOldRelease(ctx, config); err != nil {
			return err
		}
	}
	if o.conformance {
		if err := toolchain.EnsureConformance(ctx, config); err != nil {
			return err
		}
	}
	r.step("all programs are in " + o.bin)
	return nil
}

// build builds the programs that are missing.
func build(ctx context.Context, o options, r *report) error {
	return toolchain.Ensure(ctx, toolchain.Config{Repo: o.repo, Bin: o.bin, Report: r.step})
}
