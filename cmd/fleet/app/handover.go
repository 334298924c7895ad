// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"fleet.dev/fleet/cmd/fleet/handover"
	"fleet.dev/fleet/cmd/fleet/inspect"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// errDiffers is how diff ends when it found something, as kubectl's does.
var errDiffers = errors.New("members differ from what the fleet wants")

func newDiffCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &inspectOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "diff KIND/NAME",
		Short: "Compare an object in its members with what the fleet wants",
		Long: `Compare an object, as its members have it, with what the fleet wants it to be
there. Each member is asked, through the fleet and as yourself, what applying it
would change; nothing is changed. Fields of others and defaults of the member are no
difference.

It fails when there is a difference.`,
		Example: examples(name,
			"# A Deployment in all its members",
			"{fleet} diff deployment/web",
			"",
			"# In one of them",
			"{fleet} diff deployment/web --cluster paris"),
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.diff(cmd.Context(), args) },
	}
	// Ahead of kubectl's flags, of which one that is seldom used has that name.
	cmd.Flags().StringVar(&o.cluster, "cluster", "", "Name of the member. Without it, all members are compared.")
	o.addFlags(cmd)
	utilruntime.Must(cmd.RegisterFlagCompletionFunc("cluster", completeClusters(o.flags, 0)))
	return cmd
}

func (o *inspectOptions) diff(ctx context.Context, args []string) error {
	fleet, target, err := o.find(ctx, args)
	if err != nil {
		return err
	}
	config, err := o.flags.config()
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
	differs := false
	var errs []error
	for _, one := range all {
		if one.Err != nil || one.Deleted {
			fmt.Fprintf(o.Out, "%s: %s\n", one.Cluster, notCompared(one))
			continue
		}
		member, err := handover.NewMember(config, one.Cluster)
		if err != nil {
			return err
		}
		changes, err := member.Diff(ctx, target.Kind, one.Manifest)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		differs = differs || len(changes) > 0
		o.printChanges(one.Cluster, changes)
	}
	if differs {
		errs = append(errs, errDiffers)
	}
	return errors.Join(errs...)
}

func notCompared(one inspect.Rendered) string {
	if one.Err != nil {
		return one.Err.Error()
	}
	return "to be deleted"
}

// printChanges prints what would change in a member, a line for each field.
func (o *inspectOptions) printChanges(cluster string, changes []inspect.Change) {
	if len(changes) == 0 {
		fmt.Fprintf(o.Out, "%s: as wanted\n", cluster)
		return
	}
	fmt.Fprintf(o.Out, "%s:\n", cluster)
	for _, change := range changes {
		switch {
		case change.Was == nil:
			fmt.Fprintf(o.Out, "  + %s: %s\n", change.Path, asJSON(change.Is))
		case change.Is == nil:
			fmt.Fprintf(o.Out, "  - %s: %s\n", change.Path, asJSON(change.Was))
		default:
			fmt.Fprintf(o.Out, "  ~ %s: %s -> %s\n", change.Path, asJSON(change.Was), asJSON(change.Is))
		}
	}
}

func newReleaseCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &inspectOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "release KIND/NAME",
		Short: "Give an object back to the members it runs in",
		Long: `Give an object back to the members it runs in: it goes from the fleet, and what
members have of it stays, without the marks of the fleet. No Pod restarts.

It is what "kubectl delete --cascade=orphan" does. A member that is away releases
its object when it is back.`,
		Example: examples(name,
			"# Let members keep a Deployment",
			"{fleet} release deployment/web"),
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.release(cmd.Context(), args) },
	}
	o.addFlags(cmd)
	return cmd
}

func (o *inspectOptions) release(ctx context.Context, args []string) error {
	fleet, target, err := o.find(ctx, args)
	if err != nil {
		return err
	}
	orphan, uid := metav1.DeletePropagationOrphan, target.Object.GetUID()
	objects := fleet.Objects.Resource(target.Kind.Resource)
	options := metav1.DeleteOptions{PropagationPolicy: &orphan, Preconditions: &metav1.Preconditions{UID: &uid}}
	if namespace := target.Object.GetNamespace(); namespace != "" {
		err = objects.Namespace(namespace).Delete(ctx, target.Object.GetName(), options)
	} else {
		err = objects.Delete(ctx, target.Object.GetName(), options)
	}
	if err != nil {
		return fmt.Errorf("release %s: %w", target, err)
	}
	var members []string
	if target.Binding != nil {
		for _, cluster := range target.Binding.GetSpec().Clusters {
			members = append(members, cluster.Name)
		}
	}
	if len(members) == 0 {
		fmt.Fprintf(o.Out, "%s released; it was in no member\n", target)
		return nil
	}
	fmt.Fprintf(o.Out, "%s released; it stays in %s\n", target, strings.Join(members, ", "))
	return nil
}

func newPromoteCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &inspectOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "promote KIND/NAME --cluster CLUSTER",
		Short: "Bring an object that runs in a member under the fleet",
		Long: `Bring an object that runs in a member under the fleet: it becomes an object of the
fleet, as its author wrote it, and stays where it runs. No Pod restarts. A policy is
made that keeps it on this member; change it to let the object go elsewhere.

The member adopts what it has only if nothing in it would change, and releases it
again, rather than to delete it, when the object is deleted from the fleet.`,
		Example: examples(name,
			"# Take over a Deployment",
			"{fleet} promote deployment/web --cluster paris -n shop"),
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return o.promote(cmd.Context(), args) },
	}
	// Ahead of kubectl's flags, of which one that is seldom used has that name.
	cmd.Flags().StringVar(&o.cluster, "cluster", "", "Name of the member the object runs in.")
	o.addFlags(cmd)
	utilruntime.Must(cmd.MarkFlagRequired("cluster"))
	utilruntime.Must(cmd.RegisterFlagCompletionFunc("cluster", completeClusters(o.flags, 0)))
	return cmd
}

func (o *inspectOptions) promote(ctx context.Context, args []string) error {
	kind, name, err := kindAndName(args)
	if err != nil {
		return err
	}
	config, err := o.flags.config()
	if err != nil {
		return err
	}
	namespace, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(o.flags.rules, &o.flags.overrides).Namespace()
	if err != nil {
		return fmt.Errorf("load the kubeconfig: %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client to the fleet: %w", err)
	}
	own, err := newFleetClient(config)
	if err != nil {
		return err
	}
	fleetID, err := o.fleetID(ctx)
	if err != nil {
		return err
	}

	// 1. What runs there?
	member, err := handover.NewMember(config, o.cluster)
	if err != nil {
		return err
	}
	object, mapping, err := member.Find(ctx, namespace, kind, name)
	if err != nil {
		return err
	}
	template, err := handover.Template(object, fleetID)
	if err != nil {
		return err
	}

	// 2. Where it is to stay, before there is anything to place.
	if template.GetNamespace() != "" {
		if err := handover.EnsureNamespace(ctx, objects, template.GetNamespace()); err != nil {
			return err
		}
	}
	policy, err := handover.Keep(ctx, own, template, o.cluster)
	if err != nil {
		return err
	}

	// 3. The object itself.
	if err := handover.Adopt(ctx, objects, template, mapping); err != nil {
		return fmt.Errorf("%w; the policy %q was made for it and can be deleted", err, policy)
	}
	fmt.Fprintf(o.Out, "%s %s promoted; the policy %q keeps it on %s\n", template.GetKind(), name, policy, o.cluster)
	return nil
}

func kindAndName(args []string) (kind, name string, err error) {
	if len(args) == 1 {
		kind, name, _ = strings.Cut(args[0], "/")
	} else {
		kind, name = args[0], args[1]
	}
	if kind == "" || name == "" {
		return "", "", errors.New("name one object, as KIND/NAME or KIND NAME")
	}
	return kind, name, nil
}

// fleetID returns by what members' objects are known as the fleet's.
func (o *inspectOptions) fleetID(ctx context.Context) (string, error) {
	kube, err := o.flags.kubeClient()
	if err != nil {
		return "", err
	}
	system, err := kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("find the id of the fleet: %w", err)
	}
	return string(system.UID), nil
}

// members returns the names of the members, or the one asked for.
func (o *inspectOptions) members(ctx context.Context) ([]string, error) {
	if o.cluster != "" {
		return []string{o.cluster}, nil
	}
	client, err := o.flags.fleetClient()
	if err != nil {
		return nil, err
	}
	clusters, err := client.ClusterV1alpha1().Clusters().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", clusterv1alpha1.Resource("clusters"), err)
	}
	var names []string
	for i := range clusters.Items {
		names = append(names, clusters.Items[i].Name)
	}
	return names, nil
}
