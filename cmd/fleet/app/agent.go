// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"fleet.dev/fleet/cmd/fleet/register"
)

func newAgentCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Install agents in members",
		Long:  "Install the agents with which members in Pull mode connect to the fleet.",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newAgentManifestCommand(name, streams))
	return cmd
}

type agentManifestOptions struct {
	discovery discoveryFlags
	name      string
	image     string
	genericiooptions.IOStreams
}

func newAgentManifestCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &agentManifestOptions{image: register.DefaultImage(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "manifest NAME --server ADDRESS --token TOKEN --ca-cert-hash HASH",
		Short: "Print what installs an agent in a cluster",
		Long: `Print the objects that make a cluster ask to join a fleet, as YAML. It is what
"fleet register" applies, for those who keep manifests of their clusters. It holds
the bootstrap token, which is worth nothing once it has expired.

The ClusterRole of the agent owns the rest: deleting it removes the agent.`,
		Example: examples(name,
			"# Install an agent",
			"{fleet} agent manifest paris --server https://fleet.example.com:6443 --token abcdef.0123456789abcdef --ca-cert-hash sha256:1234... | kubectl apply -f -"),
		Args: func(_ *cobra.Command, args []string) error {
			return validateName(args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return o.run(ctx)
		},
	}
	o.discovery.add(cmd.Flags())
	cmd.Flags().StringVar(&o.image, "image", o.image, "Image of the agent.")
	o.discovery.require(cmd)
	return cmd
}

func (o *agentManifestOptions) run(ctx context.Context) error {
	fleet, err := register.Discover(ctx, o.discovery.source)
	if err != nil {
		return err
	}
	return register.Installation{Cluster: o.name, Fleet: fleet, Image: o.image}.Manifest(o.Out)
}
