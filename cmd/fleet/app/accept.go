// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/cmd/fleet/accept"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
)

// issuedPoll is the time between two looks for a certificate.
const issuedPoll = 500 * time.Millisecond

type acceptOptions struct {
	flags   *kubeconfigFlags
	name    string
	key     string
	wait    bool
	timeout time.Duration
	genericiooptions.IOStreams
}

func newAcceptCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &acceptOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "accept NAME",
		Short: "Accept a cluster that asked to join",
		Long: `Accept a cluster that asked to join by itself, with "fleet register". Its agent
then gets a certificate and the cluster becomes a member.

What is accepted is the key of one agent; "fleet register" and the agent's log
show its fingerprint. An agent that was installed anew has another key and is
accepted in the same way; everything issued for the key before is then worth
nothing. It takes the verb "accept" on the Cluster.

kubectl's flags to reach a server (--server, --token, --as, ...) work as well.`,
		Example: examples(name,
			"# Accept the cluster that asked to be paris",
			"{fleet} accept paris",
			"",
			"# Several asked: accept this one, and wait for its certificate",
			"{fleet} accept paris --wait --key sha256:..."),
		Args: func(_ *cobra.Command, args []string) error {
			return validateName(args)
		},
		ValidArgsFunction: completeClusters(o.flags, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return o.run(ctx)
		},
	}
	o.flags.add(cmd.Flags())
	cmd.Flags().StringVar(&o.key, "key", "", "Fingerprint of the key to accept, where several ask.")
	cmd.Flags().BoolVar(&o.wait, "wait", false, "Wait until the certificate is issued.")
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "How long to wait for the certificate; 0 is for ever.")
	completeFlag(cmd, "context", o.flags.contexts)
	return cmd
}

func (o *acceptOptions) run(ctx context.Context) error {
	if o.key != "" {
		if err := identity.ValidateFingerprint(o.key); err != nil {
			return fmt.Errorf("--key: %w", err)
		}
	}
	kubeClient, err := o.flags.kubeClient()
	if err != nil {
		return err
	}
	fleetClient, err := o.flags.fleetClient()
	if err != nil {
		return err
	}
	cluster, err := accept.Find(ctx, fleetClient, o.name)
	if err != nil {
		return err
	}
	waiting, err := accept.Waiting(ctx, kubeClient, o.name)
	if err != nil {
		return err
	}
	candidate, news, err := accept.Choose(cluster, waiting, o.key)
	if err != nil {
		return err
	}
	if news {
		if err := accept.Accept(ctx, fleetClient, cluster, candidate); err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "cluster %q accepted: %s\n", o.name, candidate)
	} else {
		fmt.Fprintf(o.Out, "cluster %q is accepted already: %s\n", o.name, candidate)
	}
	if !o.wait {
		return nil
	}
	return o.awaitCertificate(ctx, kubeClient, candidate)
}

func (o *acceptOptions) awaitCertificate(ctx context.Context, kubeClient kubernetes.Interface, candidate accept.Candidate) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	err := wait.PollUntilContextCancel(ctx, issuedPoll, true, func(ctx context.Context) (bool, error) {
		return accept.Issued(ctx, kubeClient, o.name, candidate.Key)
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the certificate of cluster %q was not issued within %s: its agent may not be running", o.name, o.timeout)
	}
	if err != nil {
		return fmt.Errorf("wait for the certificate of cluster %q: %w", o.name, err)
	}
	fmt.Fprintf(o.Out, "certificate of cluster %q issued\n", o.name)
	return nil
}
