// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/cmd/fleet/inspect"
)

func newRenderCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &inspectOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "render KIND/NAME",
		Short: "Print an object as a member gets it",
		Long: `Print an object as members get it: with their share of the replicas and their
overrides, in YAML. It is rendered from the object and its binding as they are now,
by the code that the fleet renders with.`,
		Example: examples(name,
			"# A Deployment as one member gets it",
			"{fleet} render deployment/web --cluster paris",
			"",
			"# As each of its members gets it",
			"{fleet} render deployment/web"),
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.render(cmd.Context(), args) },
	}
	// Ahead of kubectl's flags, of which one that is seldom used has that name.
	cmd.Flags().StringVar(&o.cluster, "cluster", "", "Name of the member. Without it, all members are printed.")
	o.addFlags(cmd)
	utilruntime.Must(cmd.RegisterFlagCompletionFunc("cluster", completeClusters(o.flags, 0)))
	return cmd
}

func (o *inspectOptions) render(ctx context.Context, args []string) error {
	fleet, target, err := o.find(ctx, args)
	if err != nil {
		return err
	}
	all, err := fleet.Render(ctx, target)
	if err != nil {
		return err
	}
	if o.cluster != "" {
		one, ok := inspect.Of(all, o.cluster)
		if !ok {
			return fmt.Errorf("%s is not placed on %q", target, o.cluster)
		}
		all = []inspect.Rendered{one}
	}
	if len(all) == 0 {
		return fmt.Errorf("%s is not placed anywhere", target)
	}
	for i, one := range all {
		if err := o.printOne(one, i > 0, len(all) > 1); err != nil {
			return err
		}
	}
	return nil
}

// printOne prints the object of one member, as a document of its own.
func (o *inspectOptions) printOne(one inspect.Rendered, apart, named bool) error {
	if one.Err != nil {
		return fmt.Errorf("render for %q: %w", one.Cluster, one.Err)
	}
	if apart {
		fmt.Fprintln(o.Out, "---")
	}
	switch {
	case one.Deleted:
		fmt.Fprintf(o.Out, "# %s: to be deleted\n", one.Cluster)
	case named:
		fmt.Fprintf(o.Out, "# %s\n", one.Cluster)
	}
	document, err := yaml.Marshal(one.Manifest)
	if err != nil {
		return fmt.Errorf("encode the object for %q: %w", one.Cluster, err)
	}
	_, err = o.Out.Write(document)
	return err
}
