// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"fleet.dev/fleet/cmd/fleet/join"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// stdout is the value of --output that prints.
const stdout = "-"

type kubeconfigOptions struct {
	command     string
	flags       *kubeconfigFlags
	name        string
	contextName string
	output      string
	genericiooptions.IOStreams
}

func newKubeconfigCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &kubeconfigOptions{command: name, flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "kubeconfig NAME",
		Short: "Make a kubeconfig context that reaches a member through the fleet",
		Long: `Make a kubeconfig context that reaches one member through the fleet, as yourself:
with your credentials for the fleet and whatever the member's own roles allow you.
The fleet asks for the right to use clusters/proxy.

The context is put beside that of the fleet, into the kubeconfig that is in use,
and named after it and the member. The current context stays as it is. With
--output the context goes, with all that belongs to it and as the current one,
into a file of its own, or to standard output.`,
		Example: examples(name,
			"# Look into a member",
			"{fleet} kubeconfig paris",
			"kubectl --context default-paris get pods",
			"",
			"# Under a name of your own",
			"{fleet} kubeconfig paris --context-name paris",
			"",
			"# For a program that wants a file",
			"{fleet} kubeconfig paris --output paris.kubeconfig"),
		Args: func(_ *cobra.Command, args []string) error {
			return validateName(args)
		},
		ValidArgsFunction: completeClusters(o.flags, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	o.flags.add(cmd.Flags())
	cmd.Flags().StringVar(&o.contextName, "context-name", "", "Name of the context. By default the name of the fleet's context, a dash and the name of the member.")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "File to write a kubeconfig of its own to, replacing it, or - for standard output.")
	completeFlag(cmd, "context", o.flags.contexts)
	return cmd
}

func (o *kubeconfigOptions) run(ctx context.Context) error {
	client, err := o.flags.fleetClient()
	if err != nil {
		return err
	}
	// Who may reach a member need not be allowed to look at its Cluster.
	_, err = client.ClusterV1alpha1().Clusters().Get(ctx, o.name, metav1.GetOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return fmt.Errorf("get cluster %q: %w", o.name, join.FleetError(err))
	}
	config, err := o.flags.rules.GetStartingConfig()
	if err != nil {
		return fmt.Errorf("load the kubeconfig: %w", err)
	}
	created, err := o.addContext(config)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.write(*config)
	}
	if err := clientcmd.ModifyConfig(o.flags.rules, *config, true); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	done := "modified"
	if created {
		done = "created"
	}
	fmt.Fprintf(o.Out, "Context %q %s. Use it with:\n\n  kubectl --context %s get pods\n", o.contextName, done, o.contextName)
	return nil
}

// addContext adds the context of the member to the configuration. It returns
// whether there was none of that name.
func (o *kubeconfigOptions) addContext(config *clientcmdapi.Config) (created bool, err error) {
	current := config.CurrentContext
	if chosen := o.flags.overrides.CurrentContext; chosen != "" {
		current = chosen
	}
	fleetContext, ok := config.Contexts[current]
	if !ok {
		return false, fmt.Errorf("the kubeconfig has no context %q to take the address of the fleet from", current)
	}
	fleet, ok := config.Clusters[fleetContext.Cluster]
	if !ok {
		return false, fmt.Errorf("context %q of the kubeconfig names the cluster %q, which is not there", current, fleetContext.Cluster)
	}
	if o.contextName == "" {
		o.contextName = current + "-" + o.name
	}
	if o.contextName == current || o.contextName == fleetContext.Cluster {
		return false, fmt.Errorf("%q is the name of the fleet itself: choose another one with --context-name", o.contextName)
	}
	_, known := config.Contexts[o.contextName]
	member := fleet.DeepCopy()
	member.Server = strings.TrimSuffix(fleet.Server, "/") + "/apis/" + clusterv1alpha1.SchemeGroupVersion.String() + "/clusters/" + o.name + "/proxy"
	memberContext := fleetContext.DeepCopy()
	memberContext.Cluster = o.contextName
	config.Clusters[o.contextName], config.Contexts[o.contextName] = member, memberContext
	return !known, nil
}

// write writes the context with all that belongs to it, files that it refers to
// included.
func (o *kubeconfigOptions) write(config clientcmdapi.Config) error {
	config.CurrentContext = o.contextName
	if err := clientcmdapi.MinifyConfig(&config); err != nil {
		return fmt.Errorf("pick context %q: %w", o.contextName, err)
	}
	if err := clientcmdapi.FlattenConfig(&config); err != nil {
		return fmt.Errorf("embed the files that context %q refers to: %w", o.contextName, err)
	}
	if o.output != stdout {
		if err := clientcmd.WriteToFile(config, o.output); err != nil {
			return fmt.Errorf("write %s: %w", o.output, err)
		}
		return nil
	}
	text, err := clientcmd.Write(config)
	if err != nil {
		return fmt.Errorf("encode the kubeconfig: %w", err)
	}
	_, err = o.Out.Write(text)
	return err
}
