// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/cmd/fleet/interpret"
)

type interpretOptions struct {
	files    []string
	observed []string
	replicas int32
	input    interpret.Input
	genericiooptions.IOStreams
}

func newInterpretCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &interpretOptions{IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "interpret -f FILE",
		Short: "Try how custom resources are read",
		Long: `Try how custom resources are read: by the ResourceInterpreterCustomizations in the
files, and by those that the fleet brings along. It needs no fleet, and refuses what
the server would refuse.

For each object it prints what auto placement does with its kind and what each rule
answers, in YAML. An answer of null leaves the object to the rule for all kinds.`,
		Example: examples(name,
			"# What the fleet reads in an object",
			"{fleet} interpret -f rollout.yaml",
			"",
			"# The same by a customization of one's own",
			"{fleet} interpret -f customization.yaml -f database.yaml --replicas 5",
			"",
			"# With the object as it is in two members",
			"{fleet} interpret -f rollout.yaml --observed paris=paris.yaml --observed rome=rome.yaml"),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return o.run() },
	}
	cmd.Flags().StringArrayVarP(&o.files, "filename", "f", nil, "File of objects and customizations, - for standard input. Can be repeated.")
	cmd.Flags().StringArrayVar(&o.observed, "observed", nil, "File of objects as they are in a member, as MEMBER=FILE. Can be repeated. Without it, each object is taken for its own.")
	cmd.Flags().Int32Var(&o.replicas, "replicas", 1, "Number of replicas to give the objects.")
	utilruntime.Must(cmd.MarkFlagRequired("filename"))
	return cmd
}

// errNoObjects says that there is nothing to ask about.
var errNoObjects = errors.New("the files have no object to interpret")

func (o *interpretOptions) run() error {
	for _, file := range o.files {
		if err := o.open(file, func(from io.Reader) error { return o.input.Read(file, from) }); err != nil {
			return err
		}
	}
	for _, observed := range o.observed {
		member, file, ok := strings.Cut(observed, "=")
		if !ok {
			return fmt.Errorf("read --observed %q: it is not MEMBER=FILE", observed)
		}
		if err := o.open(file, func(from io.Reader) error { return o.input.ReadObserved(member, file, from) }); err != nil {
			return err
		}
	}
	if len(o.input.Objects) == 0 {
		return errNoObjects
	}
	answers, err := o.input.Answers(o.replicas)
	if err != nil {
		return err
	}
	for n, about := range answers {
		document, err := yaml.Marshal(about)
		if err != nil {
			return fmt.Errorf("encode answers about %s: %w", about.Object, err)
		}
		if n > 0 {
			fmt.Fprintln(o.Out, "---")
		}
		if _, err := o.Out.Write(document); err != nil {
			return err
		}
	}
	return interpret.Failed(answers)
}

func (o *interpretOptions) open(file string, read func(io.Reader) error) error {
	if file == "-" {
		return read(o.In)
	}
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	return read(opened)
}
