// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of fleet. It follows kubectl's conventions:
// kubeconfig loading, names of flags, output formats, exit codes (0, or 1 and
// one line on standard error). What the commands do is in package join and in
// the components that "fleet server" runs.
package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
)

// Run runs the command line args, the first of which is the name of the program,
// and returns the exit code.
func Run(args []string) int {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	cmd := NewCommand(filepath.Base(args[0]), streams)
	cmd.SetArgs(args[1:])
	cmd.AddCommand(NewServerCommand()) // makes a signal handler of its own when it runs
	if err := execute(cmd); err != nil {
		fmt.Fprintf(streams.ErrOut, "error: %v\n", err)
		return 1
	}
	return 0
}

// execute runs the command. Cobra offers flags that libraries registered
// globally, like --version of the server, with every command: they are dropped.
func execute(cmd *cobra.Command) error {
	pflag.CommandLine = pflag.NewFlagSet(cmd.Name(), pflag.ContinueOnError)
	return cli.RunNoErrOutput(cmd)
}

// NewCommand returns the fleet command without "server". Called kubectl-fleet it
// names itself "kubectl fleet" in its help.
func NewCommand(program string, streams genericiooptions.IOStreams) *cobra.Command {
	name := displayName(program)
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "One Kubernetes API in front of many clusters",
		Long: `fleet runs a fleet, joins clusters to it and shows them. A fleet is one
Kubernetes API in front of many clusters; use it with kubectl, helm and any other
client of Kubernetes.`,
		Annotations:  map[string]string{cobra.CommandDisplayNameAnnotation: name},
		SilenceUsage: true,
	}
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.ErrOut)
	cmd.AddCommand(
		newAcceptCommand(name, streams),
		newAgentCommand(name, streams),
		newCordonCommand(name, streams),
		newDiffCommand(name, streams),
		newExplainCommand(name, streams),
		newGetCommand(name, streams),
		newInterpretCommand(name, streams),
		newJoinCommand(name, streams),
		newKubeconfigCommand(name, streams),
		newPromoteCommand(name, streams),
		newRegisterCommand(name, streams),
		newReleaseCommand(name, streams),
		newRenderCommand(name, streams),
		newTaintCommand(name, streams),
		newTokenCommand(name, streams),
		newUncordonCommand(name, streams),
		newUnjoinCommand(name, streams),
		newVersionCommand(name, streams),
	)
	return cmd
}

// displayName returns how users call the program.
func displayName(program string) string {
	if strings.HasPrefix(program, "kubectl-") {
		return "kubectl fleet"
	}
	return "fleet"
}

// examples indents the examples of a command and puts in what users call it.
func examples(name string, lines ...string) string {
	for i, line := range lines {
		if line != "" {
			lines[i] = "  " + strings.ReplaceAll(line, "{fleet}", name)
		}
	}
	return strings.Join(lines, "\n")
}

// untilInterrupted returns a context that ends when the user interrupts.
func untilInterrupted(parent context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
}
