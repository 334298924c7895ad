// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"fleet.dev/fleet/cmd/fleet/join"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

type unjoinOptions struct {
	command string
	fleet   *kubeconfigFlags
	member  *kubeconfigFlags
	name    string
	how     join.Leaving
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
--keep-objects released and left running, and the fleet's accounts, roles and
namespace in the member are removed; the agent of a member in Pull mode removes
itself. Replicas that ran there go to other members as policies say.

The member has to confirm; one that cannot be reached is waited for. The fleet
goes on with it when this command is interrupted. With --force nothing is waited
for: that is for members that will not come back, because what the fleet put there,
its accounts included, then may stay.

kubectl's flags to reach a server (--server, --token, --as, ...) work as well.`,
		Example: examples(name,
			"# Take a member out and delete there what the fleet put there",
			"{fleet} unjoin paris",
			"",
			"# Take it out and leave everything running",
			"{fleet} unjoin paris --keep-objects",
			"",
			"# Take out one that is gone for good",
			"{fleet} unjoin paris --force"),
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
	flags.BoolVar(&o.how.KeepObjects, "keep-objects", false, "Leave what the fleet put on the member running there.")
	flags.BoolVar(&o.how.Force, "force", false, "Do not wait for the member to confirm. What the fleet put there may be left.")
	flags.StringVar(&o.member.rules.ExplicitPath, "member-kubeconfig", "", "Path to a kubeconfig of the member, to remove the fleet's accounts there with. Without it they remove themselves.")
	flags.StringVar(&o.member.overrides.CurrentContext, "member-context", "", "Context to use in --member-kubeconfig; its current one by default.")
	flags.BoolVar(&o.wait, "wait", true, "Wait until the member has left.")
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

	if o.how.Force {
		fmt.Fprintf(o.ErrOut, "Warning: member %q is not waited for. What the fleet put there, labelled %s=%s, may be left running, and nothing will remove it.\n",
			o.name, wellknown.LabelManagedBy, fleetID)
	}
	if err := fleet.Delete(ctx, cluster, o.how); err != nil {
		return err
	}
	if o.how.KeepObjects {
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
	if cluster.Spec.SyncMode == clusterv1alpha1.Pull && o.member.rules.ExplicitPath == "" {
		o.sayAgentLeft()
		return nil
	}
	if memberErr == nil {
		memberErr = member.Revoke(ctx, fleetID)
	}
	if o.tookLeave(memberErr) {
		memberErr = nil
	}
	o.sayLeft(memberErr)
	return nil
}

// tookLeave says whether an account that is refused is so because the syncer was
// faster: it takes its accounts back when the member has confirmed everything.
func (o *unjoinOptions) tookLeave(err error) bool {
	return !o.how.Force && o.member.rules.ExplicitPath == "" && (apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err))
}

// sayAgentLeft says how it ended for a member in Pull mode. Its agent sees that
// it left, if it is connected, and removes itself.
func (o *unjoinOptions) sayAgentLeft() {
	if o.how.Force {
		fmt.Fprintf(o.ErrOut, "Warning: an agent that is not connected does not remove itself.\nRemove it with: kubectl --kubeconfig MEMBER delete clusterrole %s\n", wellknown.AgentName)
	}
	o.say("Member %q has left the fleet", o.name)
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
		return fmt.Errorf("%w; the fleet goes on with it, run \"%s unjoin %s\" again to wait for the end, or with --force if the member will not come back", err, o.command, o.name)
	}
	return err
}

// sayLeft says how it ended. Accounts that could not be removed are no reason to
// fail: the member has left, and their tokens are gone from the fleet.
func (o *unjoinOptions) sayLeft(accountErr error) {
	if accountErr != nil {
		fmt.Fprintf(o.ErrOut, "Warning: the fleet's accounts in the member were not removed: %v\nRemove it with: kubectl --kubeconfig MEMBER delete clusterrole %s\n", accountErr, wellknown.SyncerName)
	}
	o.say("Member %q has left the fleet", o.name)
}

func (o *unjoinOptions) say(format string, args ...any) {
	fmt.Fprintf(o.Out, format+"\n", args...)
}
