// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"fleet.dev/fleet/cmd/fleet/join"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

type unjoinOptions struct {
	command string
	fleet   *kubeconfigFlags
	member  *kubeconfigFlags
	name    string
	keep    bool
	wait    bool
	timeout time.Duration
	genericiooptions.IOStreams
}

func newUnjoinCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &unjoinOptions{command: name, fleet: newKubeconfigFlags(), member: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "unjoin NAME",
		Short: "Take a member out of the fleet",
		Long: `Take a member out of the fleet. What the fleet put there is deleted, or with
--keep-objects released and left running, and the fleet's account in the member
is removed. Replicas that ran there go to other members as policies say.

The member has to confirm; one that cannot be reached is waited for. The fleet
goes on with it when this command is interrupted, except that the account in the
member then stays.

kubectl's flags to reach a server (--server, --token, --as, ...) work as well.`,
		Example: examples(name,
			"# Take a member out and delete there what the fleet put there",
			"{fleet} unjoin paris",
			"",
			"# Take it out and leave everything running",
			"{fleet} unjoin paris --keep-objects"),
		Args: func(_ *cobra.Command, args []string) error {
			return validateName(args)
		},
		ValidArgsFunction: completeClusters(o.fleet, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return o.run(ctx)
		},
	}
	o.fleet.add(cmd.Flags())
	flags := cmd.Flags()
	flags.BoolVar(&o.keep, "keep-objects", false, "Leave what the fleet put on the member running there.")
	flags.StringVar(&o.member.rules.ExplicitPath, "member-kubeconfig", "", "Path to a kubeconfig of the member, to remove the fleet's account there with. Without it the account removes itself.")
	flags.StringVar(&o.member.overrides.CurrentContext, "member-context", "", "Context to use in --member-kubeconfig; its current one by default.")
	flags.BoolVar(&o.wait, "wait", true, "Wait until the member has left. Without it the fleet's account in the member stays.")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "How long to wait for the member to leave; 0 is for ever.")
	completeFlag(cmd, "context", o.fleet.contexts)
	completeFlag(cmd, "member-context", o.member.contexts)
	return cmd
}

func (o *unjoinOptions) run(ctx context.Context) error {
	fleet, err := o.fleet.fleet()
	if err != nil {
		return err
	}
	cluster, err := fleet.Cluster(ctx, o.name)
	if err != nil {
		return err
	}
	fleetID, err := fleet.ID(ctx)
	if err != nil {
		return err
	}
	// Read now: the fleet forgets the credentials as the member leaves.
	member, memberErr := o.leaving(ctx, fleet, cluster)

	if err := fleet.Delete(ctx, cluster, o.keep); err != nil {
		return err
	}
	if o.keep {
		o.say("Cluster %q is leaving the fleet; its objects are released and keep running", o.name)
	} else {
		o.say("Cluster %q is leaving the fleet; its objects are deleted", o.name)
	}
	if !o.wait {
		return nil
	}
	if err := o.awaitGone(ctx, fleet, cluster); err != nil {
		return err
	}
	if memberErr == nil {
		memberErr = member.Revoke(ctx, fleetID)
	}
	o.sayLeft(memberErr)
	return nil
}

// leaving returns the member, reached by its kubeconfig if one is given, or with
// the credentials of the fleet.
func (o *unjoinOptions) leaving(ctx context.Context, fleet *join.Fleet, cluster *clusterv1alpha1.Cluster) (*join.Member, error) {
	if o.member.rules.ExplicitPath == "" {
		return fleet.StoredMember(ctx, cluster)
	}
	config, err := o.member.config()
	if err != nil {
		return nil, fmt.Errorf("reach the member: %w", err)
	}
	return join.NewMember(config)
}

func (o *unjoinOptions) awaitGone(ctx context.Context, fleet *join.Fleet, cluster *clusterv1alpha1.Cluster) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	err := fleet.AwaitGone(ctx, cluster, func(message string) {
		o.say("Cluster %q: %s", o.name, message)
	})
	if ctx.Err() != nil {
		return fmt.Errorf("%w; the fleet goes on with it, run \"%s unjoin %s\" again to wait for the end", err, o.command, o.name)
	}
	return err
}

// sayLeft says how it ended. An account that could not be removed is no reason to
// fail: the member has left, and its token is gone from the fleet.
func (o *unjoinOptions) sayLeft(accountErr error) {
	if accountErr != nil {
		fmt.Fprintf(o.ErrOut, "Warning: the fleet's account in the member was not removed: %v\nRemove it with: kubectl --kubeconfig MEMBER delete clusterrole %s\n", accountErr, join.AccountName)
	}
	o.say("Member %q has left the fleet", o.name)
}

func (o *unjoinOptions) say(format string, args ...any) {
	fmt.Fprintf(o.Out, format+"\n", args...)
}
