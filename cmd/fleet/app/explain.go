// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"fleet.dev/fleet/cmd/fleet/inspect"
)

type inspectOptions struct {
	flags   *kubeconfigFlags
	cluster string
	genericiooptions.IOStreams
}

func newExplainCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &inspectOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "explain KIND/NAME",
		Short: "Say why an object is where it is",
		Long: `Say why an object is where it is: the policies that match it, what is made of each
member, what its binding says, and what is different in each member.

The decision is made anew, with what the fleet has now, and not carried out. It
knows the object and its namespace alone: what other workloads of a group or a
volume mean for it is left out.`,
		Example: examples(name,
			"# Why a Deployment is where it is",
			"{fleet} explain deployment/web",
			"",
			"# The same in another namespace",
			"{fleet} explain deploy web -n shop"),
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.explain(cmd.Context(), args) },
	}
	o.addFlags(cmd)
	return cmd
}

func (o *inspectOptions) addFlags(cmd *cobra.Command) {
	o.flags.add(cmd.Flags())
	cmd.Flags().Lookup(clientcmd.FlagNamespace).Hidden = false
	completeFlag(cmd, "context", o.flags.contexts)
}

func (o *inspectOptions) explain(ctx context.Context, args []string) error {
	fleet, target, err := o.find(ctx, args)
	if err != nil {
		return err
	}
	explanation, err := fleet.Explain(ctx, target)
	if err != nil {
		return err
	}
	rendered, err := fleet.Render(ctx, target)
	if err != nil {
		return err
	}
	return inspect.Print(o.Out, target, explanation, rendered)
}

// find connects to the fleet and reads the object.
func (o *inspectOptions) find(ctx context.Context, args []string) (*inspect.Fleet, *inspect.Target, error) {
	config, err := o.flags.config()
	if err != nil {
		return nil, nil, err
	}
	namespace, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(o.flags.rules, &o.flags.overrides).Namespace()
	if err != nil {
		return nil, nil, fmt.Errorf("load the kubeconfig: %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	own, err := newFleetClient(config)
	if err != nil {
		return nil, nil, err
	}
	cached := memory.NewMemCacheClient(kinds)
	fleet := &inspect.Fleet{
		Objects: objects,
		Kinds:   restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, func(warning string) { fmt.Fprintln(o.ErrOut, "warning:", warning) }),
		Own:     own,
	}
	target, err := fleet.Find(ctx, namespace, args...)
	return fleet, target, err
}
