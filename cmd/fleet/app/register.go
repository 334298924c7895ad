// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"fleet.dev/fleet/cmd/fleet/register"
)

// discoveryFlags say which fleet a cluster is to join and why to believe it.
type discoveryFlags struct{ source register.Source }

func (f *discoveryFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.source.Server, "server", "", "Address of the fleet as the cluster reaches it, https://HOST:PORT. Required.")
	flags.StringVar(&f.source.Token, "token", "", "Bootstrap token, as \"fleet token create\" prints it. Required.")
	flags.StringSliceVar(&f.source.CACertHashes, "ca-cert-hash", nil, "Hash of the public key of the fleet's CA, sha256:HEX, as \"fleet token create\" prints it.")
	flags.BoolVar(&f.source.AnyCA, "unsafe-skip-ca-verification", false, "Trust any CA that is signed with the token, without --ca-cert-hash.")
}

func (f *discoveryFlags) require(cmd *cobra.Command) {
	utilruntime.Must(cmd.MarkFlagRequired("server"))
	utilruntime.Must(cmd.MarkFlagRequired("token"))
	cmd.MarkFlagsOneRequired("ca-cert-hash", "unsafe-skip-ca-verification")
	cmd.MarkFlagsMutuallyExclusive("ca-cert-hash", "unsafe-skip-ca-verification")
}

type registerOptions struct {
	command   string
	discovery discoveryFlags
	member    *kubeconfigFlags
	name      string
	image     string
	skip      bool
	wait      bool
	timeout   time.Duration
	genericiooptions.IOStreams
}

func newRegisterCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &registerOptions{command: name, member: newKubeconfigFlags(), image: register.DefaultImage(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "register NAME --server ADDRESS --token TOKEN --ca-cert-hash HASH",
		Short: "Install an agent in a cluster that asks to join a fleet",
		Long: `Make the cluster that --kubeconfig reaches ask to join a fleet, under a name. It
installs an agent in namespace fleet-system of the cluster, which connects to the
fleet; the fleet does not need to reach the cluster. "fleet token create" prints
the command to run.

The fleet has to prove that it has the CA with that hash before it is sent
anything. It then accepts the cluster by itself if the token says so, or an
administrator does it with "fleet accept NAME". Nothing is served to the cluster
before that.

The user of the kubeconfig must be a cluster-admin: the agent applies whatever
users store in the fleet, roles included. Registering again under the same name
replaces the credentials of the agent, and the fleet has to accept it anew.

With --skip-install everything is made but the Deployment, for an agent that is
run by other means: syncer --mode pull --cluster NAME --member-kubeconfig FILE.`,
		Example: examples(name,
			"# Let the cluster of the current context join",
			"{fleet} register paris --server https://fleet.example.com:6443 --token abcdef.0123456789abcdef --ca-cert-hash sha256:1234...",
			"",
			"# Another cluster, and do not wait until it has joined",
			"{fleet} register paris --kubeconfig ~/.kube/paris --wait=false --server https://fleet.example.com:6443 --token abcdef.0123456789abcdef --ca-cert-hash sha256:1234..."),
		Args: func(_ *cobra.Command, args []string) error {
			return validateName(args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			if !cmd.Flags().Changed("wait") {
				o.wait = !o.skip // nobody runs the agent yet
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return o.run(ctx)
		},
	}
	flags := cmd.Flags()
	o.discovery.add(flags)
	flags.StringVar(&o.member.rules.ExplicitPath, "kubeconfig", "", "Path to a kubeconfig of the cluster that joins. Without it, $KUBECONFIG or ~/.kube/config is used.")
	flags.StringVar(&o.member.overrides.CurrentContext, "context", "", "Context to use in the kubeconfig; its current one by default.")
	flags.StringVar(&o.image, "image", o.image, "Image of the agent.")
	flags.BoolVar(&o.skip, "skip-install", false, "Make no Deployment; the agent is run by other means.")
	flags.BoolVar(&o.wait, "wait", true, "Wait until the member is ready. With --skip-install the default is not to.")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "How long to wait for the member to be ready; 0 is for ever.")
	o.discovery.require(cmd)
	completeFlag(cmd, "context", o.member.contexts)
	return cmd
}

func (o *registerOptions) run(ctx context.Context) error {
	member, err := o.joining()
	if err != nil {
		return err
	}
	identity, err := member.Inspect(ctx)
	if err != nil {
		return err
	}
	fleet, err := register.Discover(ctx, o.discovery.source)
	if err != nil {
		return err
	}
	o.say("The fleet at %s has the CA %s", fleet.Server, fleet.CAHash)
	installation := register.Installation{Cluster: o.name, Fleet: fleet, Image: o.image}
	if err := member.Install(ctx, installation, !o.skip); err != nil {
		return err
	}
	if o.skip {
		o.say("The cluster at %s has credentials for an agent. Run it with:\n\n  syncer --mode=pull --cluster=%s --member-kubeconfig=FILE\n", identity.Endpoint, o.name)
	} else {
		o.say("The cluster at %s has an agent", identity.Endpoint)
	}
	if o.wait {
		return o.await(ctx, member, installation)
	}
	if !fleet.Accepts {
		o.say("Once it has asked to join, an administrator of the fleet accepts it with:\n\n  %s accept %s", o.command, o.name)
	}
	return nil
}

// joining returns the cluster that joins.
func (o *registerOptions) joining() (*register.Member, error) {
	config, err := o.member.config()
	if errors.Is(err, errNoKubeconfig) {
		return nil, errors.New("no kubeconfig of the cluster that joins found: set KUBECONFIG, or name one with --kubeconfig")
	}
	if err != nil {
		return nil, fmt.Errorf("reach the member: %w", err)
	}
	return register.NewMember(config)
}

func (o *registerOptions) await(ctx context.Context, member *register.Member, installation register.Installation) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	err := member.Await(ctx, installation, func(message string) { o.say("Cluster %q: %s", o.name, message) })
	if ctx.Err() != nil {
		return fmt.Errorf("%w; the agent goes on by itself", err)
	}
	return err
}

func (o *registerOptions) say(format string, args ...any) {
	fmt.Fprintf(o.Out, format+"\n", args...)
}
