// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/kubernetes"
	bootstraptokenv1 "k8s.io/kubernetes/cmd/kubeadm/app/apis/bootstraptoken/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/cmd/fleet/token"
)

func newTokenCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Manage the tokens with which clusters ask to join",
		Long: `Manage bootstrap tokens. With one, a cluster that the fleet cannot reach asks
to join it by itself ("fleet register"); an administrator then accepts it
("fleet accept"), unless the token does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newTokenCreateCommand(name, streams),
		newTokenListCommand(name, streams),
		newTokenDeleteCommand(name, streams),
	)
	return cmd
}

type tokenCreateOptions struct {
	command string
	flags   *kubeconfigFlags
	token   token.Options
	print   bool
	address string
	genericiooptions.IOStreams
}

func newTokenCreateCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &tokenCreateOptions{command: name, flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a token and print it",
		Long: `Create a token with which clusters can ask to join, and print it. Who has the
token can ask, any number of times until it expires. A cluster is in the fleet
only once an administrator accepts it, unless the token was created with
--auto-accept.

kubectl's flags to reach a server (--server, --token, --as, ...) work as well.`,
		Example: examples(name,
			"# Print the command to run against the cluster that joins",
			"{fleet} token create --print-join-command",
			"",
			"# A token for an hour, for clusters that need nobody to accept them",
			"{fleet} token create --ttl 1h --auto-accept --description \"rollout of the edge sites\""),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.flags.add(cmd.Flags())
	flags := cmd.Flags()
	flags.DurationVar(&o.token.TTL, "ttl", token.DefaultTTL, "How long the token is good; 0 is for ever.")
	flags.StringVar(&o.token.Description, "description", "", "What the token is for, shown by \""+name+" token list\".")
	flags.BoolVar(&o.token.AutoAccept, "auto-accept", false, "Accept clusters of new names that ask with the token. Who has it is in the fleet.")
	flags.BoolVar(&o.print, "print-join-command", false, "Print the command in which the token is used, instead of the token.")
	flags.StringVar(&o.address, "fleet-server", "", "Address of the fleet in that command. By default the one this program uses, or if only this machine has that one, the one the fleet gives as its own.")
	completeFlag(cmd, "context", o.flags.contexts)
	return cmd
}

func (o *tokenCreateOptions) run(ctx context.Context) error {
	if o.token.TTL < 0 {
		return fmt.Errorf("--ttl must not be negative, got %s", o.token.TTL)
	}
	config, err := o.flags.config()
	if err != nil {
		return err
	}
	kubeClient, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client to the fleet: %w", err)
	}
	var endpoint token.Endpoint
	if o.print { // before there is a token that nobody is told
		if endpoint, err = token.Discover(ctx, kubeClient, o.address, config.Host); err != nil {
			return err
		}
	}
	made, err := token.Create(ctx, kubeClient, o.token)
	if err != nil {
		return err
	}
	if o.print {
		fmt.Fprintln(o.Out, token.Command(o.command, "NAME", made.Token.String(), endpoint))
		return nil
	}
	fmt.Fprintln(o.Out, made.Token.String())
	return nil
}

type tokenListOptions struct {
	flags     *kubeconfigFlags
	output    string
	noHeaders bool
	clock     clock.PassiveClock
	genericiooptions.IOStreams
}

func newTokenListCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &tokenListOptions{flags: newKubeconfigFlags(), clock: clock.RealClock{}, IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens",
		Long: `List the tokens with which clusters can ask to join.

kubectl's flags to reach a server (--server, --token, --as, ...) work as well.`,
		Example: examples(name,
			"# All tokens",
			"{fleet} token list"),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.flags.add(cmd.Flags())
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "Output format: json or yaml.")
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Print no column headers.")
	completeFlag(cmd, "output", fixed("json", "yaml"))
	completeFlag(cmd, "context", o.flags.contexts)
	return cmd
}

func (o *tokenListOptions) run(ctx context.Context) error {
	if o.output != "" && o.output != "json" && o.output != "yaml" {
		return fmt.Errorf("unknown output format %q, expected json or yaml", o.output)
	}
	kubeClient, err := o.flags.kubeClient()
	if err != nil {
		return err
	}
	tokens, err := token.List(ctx, kubeClient)
	if err != nil {
		return err
	}
	if o.output != "" {
		return printTokens(o.Out, o.output, tokens)
	}
	if len(tokens) == 0 {
		fmt.Fprintln(o.ErrOut, "No tokens found.")
		return nil
	}
	return printers.NewTablePrinter(printers.PrintOptions{NoHeaders: o.noHeaders}).PrintObj(tokenTable(tokens, o.clock.Now()), o.Out)
}

func printTokens(out io.Writer, format string, tokens []bootstraptokenv1.BootstrapToken) error {
	text, err := json.MarshalIndent(tokens, "", "  ")
	if format == "yaml" {
		text, err = yaml.Marshal(tokens)
	} else {
		text = append(text, '\n')
	}
	if err != nil {
		return fmt.Errorf("print the tokens as %s: %w", format, err)
	}
	_, err = out.Write(text)
	return err
}

func tokenTable(tokens []bootstraptokenv1.BootstrapToken, now time.Time) *metav1.Table {
	table := &metav1.Table{}
	for _, column := range []string{"Token", "TTL", "Expires", "Auto-Accept", "Description"} {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: column, Type: "string"})
	}
	for i := range tokens {
		t := &tokens[i]
		ttl, expires, accepts, description := "<forever>", "<never>", "No", t.Description
		if t.Expires != nil {
			ttl, expires = "<expired>", t.Expires.UTC().Format(time.RFC3339)
			if left := t.Expires.Sub(now); left > 0 {
				ttl = duration.ShortHumanDuration(left)
			}
		}
		if token.AutoAccepts(t) {
			accepts = "Yes"
		}
		if description == "" {
			description = "<none>"
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: []any{t.Token.String(), ttl, expires, accepts, description}})
	}
	return table
}

func newTokenDeleteCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	kubeconfig := newKubeconfigFlags()
	cmd := &cobra.Command{
		Use:   "delete TOKEN...",
		Short: "Delete tokens",
		Long: `Delete tokens, given in full or as their first six characters. Nobody can ask
to join with them any more; who was accepted before stays in the fleet.

kubectl's flags to reach a server (--server, --token, --as, ...) work as well.`,
		Example: examples(name,
			"# Delete one",
			"{fleet} token delete abcdef"),
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeTokens(kubeconfig),
		RunE: func(cmd *cobra.Command, args []string) error {
			kubeClient, err := kubeconfig.kubeClient()
			if err != nil {
				return err
			}
			for _, arg := range args {
				id, err := token.Delete(cmd.Context(), kubeClient, arg)
				if err != nil {
					return err
				}
				fmt.Fprintf(streams.Out, "token %q deleted\n", id)
			}
			return nil
		},
	}
	kubeconfig.add(cmd.Flags())
	completeFlag(cmd, "context", kubeconfig.contexts)
	return cmd
}

// completeTokens completes ids of tokens, with their descriptions.
func completeTokens(flags *kubeconfigFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		kubeClient, err := flags.kubeClient()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		tokens, err := token.List(ctx, kubeClient)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []cobra.Completion
		for i := range tokens {
			ids = append(ids, cobra.CompletionWithDesc(tokens[i].Token.ID, tokens[i].Description))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
