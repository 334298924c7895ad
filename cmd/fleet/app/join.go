// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"fleet.dev/fleet/cmd/fleet/join"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

type joinOptions struct {
	command string
	fleet   *kubeconfigFlags
	member  *kubeconfigFlags
	name    string
	facts   join.Facts
	role    string
	wait    bool
	timeout time.Duration
	genericiooptions.IOStreams
}

func newJoinCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &joinOptions{command: name, fleet: newKubeconfigFlags(), member: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "join NAME --kubeconfig FILE",
		Short: "Make a cluster a member of the fleet",
		Long: `Make the cluster that --kubeconfig reaches a member of the fleet, under a name.

The fleet must be able to reach the cluster at the address in that kubeconfig.
Its user must be a cluster-admin there: join makes two ServiceAccounts in namespace
fleet-system of the cluster. fleet-syncer may read and write objects of every kind,
because it applies whatever users store in the fleet, roles included; --rbac narrows
that to what a ClusterRole of the cluster allows. fleet-impersonator may act as
others and nothing else: what users send to the cluster through the fleet is sent
as them. The tokens of these accounts, and nothing else of the kubeconfig, are
stored in the fleet, in namespace fleet-cluster-NAME, and rotated every day.

Joining again under the same name renews the tokens and the address.`,
		Example: examples(name,
			"# Join a cluster",
			"{fleet} join paris --kubeconfig ~/.kube/paris",
			"",
			"# Join one of several in a kubeconfig, and say where it is",
			"{fleet} join paris --kubeconfig ~/.kube/config --member-context paris --provider acme --region eu --zone eu-1,eu-2",
			"",
			"# Let the fleet manage only what a ClusterRole of the cluster allows",
			"{fleet} join paris --kubeconfig ~/.kube/paris --rbac edit",
			"",
			"# The fleet is the current context of $KUBECONFIG, or",
			"{fleet} join paris --kubeconfig ~/.kube/paris --fleet-kubeconfig ~/.fleet/kubeconfigs/admin.kubeconfig"),
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
	flags := cmd.Flags()
	flags.StringVar(&o.member.rules.ExplicitPath, "kubeconfig", "", "Path to a kubeconfig of the cluster that joins. Required.")
	flags.StringVar(&o.member.overrides.CurrentContext, "member-context", "", "Context to use in --kubeconfig; its current one by default.")
	flags.StringVar(&o.fleet.rules.ExplicitPath, "fleet-kubeconfig", "", "Path to the kubeconfig of the fleet. Without it, $KUBECONFIG or ~/.kube/config is used.")
	flags.StringVar(&o.fleet.overrides.CurrentContext, "fleet-context", "", "Context to use in the kubeconfig of the fleet.")
	flags.StringVar(&o.facts.Provider, "provider", "", "Who operates the cluster; policies can select and spread by it.")
	flags.StringVar(&o.facts.Region, "region", "", "Region of the cluster; policies can select and spread by it.")
	flags.StringSliceVar(&o.facts.Zones, "zone", nil, "Zones of the cluster's nodes, comma separated; policies can select and spread by them.")
	flags.StringVar(&o.role, "rbac", "", "ClusterRole of the cluster that says what the fleet may manage there; "+wellknown.SyncerName+" is the one that join makes, which allows objects of every kind. Without it, that of an earlier join.")
	flags.BoolVar(&o.wait, "wait", true, "Wait until the member is ready.")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to wait for the member to be ready; 0 is for ever.")
	utilruntime.Must(cmd.MarkFlagRequired("kubeconfig"))
	completeFlag(cmd, "member-context", o.member.contexts)
	completeFlag(cmd, "fleet-context", o.fleet.contexts)
	return cmd
}

// validateName checks that there is one argument and that it can name a member.
func validateName(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected the name of one member, got %d arguments: %q", len(args), args)
	}
	name := args[0]
	problems := validation.IsDNS1123Label(name)
	if len(name) > clusterv1alpha1.MaxClusterNameLength {
		problems = append(problems, validation.MaxLenError(clusterv1alpha1.MaxClusterNameLength))
	}
	if len(problems) > 0 {
		return fmt.Errorf("%q cannot name a member: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

func (o *joinOptions) run(ctx context.Context) error {
	fleet, err := o.fleet.fleet()
	if err != nil {
		return err
	}
	member, err := o.joining()
	if err != nil {
		return err
	}

	identity, err := member.Inspect(ctx)
	if err != nil {
		return err
	}
	o.say("Member %q is %s, Kubernetes %s", o.name, identity.Endpoint, identity.Version)
	if err := fleet.Check(ctx, o.name, identity); err != nil {
		return err
	}
	fleetID, err := fleet.ID(ctx)
	if err != nil {
		return err
	}
	credentials, err := member.Grant(ctx, fleetID, o.role)
	if err != nil {
		return err
	}
	o.say("Member %q gave the fleet the accounts %s and %s", o.name, wellknown.SyncerName, wellknown.ImpersonatorName)
	if credentials.Insecure {
		fmt.Fprintf(o.ErrOut, "Warning: the kubeconfig does not verify the certificate of the member (insecure-skip-tls-verify), so neither will the fleet\n")
	}
	if _, err := fleet.Register(ctx, o.name, identity, credentials, o.facts); err != nil {
		return err
	}
	o.say("Cluster %q is in the fleet", o.name)
	if o.wait {
		if err := o.awaitReady(ctx, fleet); err != nil {
			return err
		}
	}
	o.sayNext()
	return nil
}

// joining returns the cluster that joins.
func (o *joinOptions) joining() (*join.Member, error) {
	config, err := o.member.config()
	if errors.Is(err, errNoKubeconfig) {
		return nil, fmt.Errorf("kubeconfig %s of the member is empty", o.member.rules.ExplicitPath)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the member: %w", err)
	}
	return join.NewMember(config)
}

func (o *joinOptions) awaitReady(ctx context.Context, fleet *join.Fleet) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	err := fleet.AwaitReady(ctx, o.name, func(message string) {
		o.say("Cluster %q: %s", o.name, message)
	})
	if ctx.Err() != nil {
		return fmt.Errorf("%w; it has joined all the same, see \"%s get clusters %s -o yaml\"", err, o.command, o.name)
	}
	return err
}

func (o *joinOptions) say(format string, args ...any) {
	fmt.Fprintf(o.Out, format+"\n", args...)
}

func (o *joinOptions) sayNext() {
	o.say("\nMember %q has joined the fleet. Next:\n\n  %s get clusters\n  kubectl create deployment web --image=nginx --replicas=3", o.name, o.command)
}
