// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/util/retry"
	taintsutil "k8s.io/kubernetes/pkg/util/taints"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetscheme "fleet.dev/fleet/pkg/generated/clientset/versioned/scheme"
)

// Values of --dry-run, as kubectl has them.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// taintsOptions change the taints of members: what cordon, uncordon and taint have
// in common.
type taintsOptions struct {
	flags    *kubeconfigFlags
	output   *genericclioptions.PrintFlags
	all      bool
	selector string
	dryRun   string
	names    []string
	// change makes new taints of a member's and says what it did to them, as
	// kubectl does: cordoned, tainted, ... It must not modify what it is given.
	change func(name string, taints []corev1.Taint) (changed []corev1.Taint, did string, err error)
	genericiooptions.IOStreams
}

func newTaintsOptions(streams genericiooptions.IOStreams) *taintsOptions {
	return &taintsOptions{
		flags: newKubeconfigFlags(), dryRun: dryRunNone, IOStreams: streams,
		output: genericclioptions.NewPrintFlags("").WithTypeSetter(fleetscheme.Scheme),
	}
}

func (o *taintsOptions) addFlags(cmd *cobra.Command) {
	o.flags.add(cmd.Flags())
	o.output.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.all, "all", false, "Select all members of the fleet.")
	cmd.Flags().StringVarP(&o.selector, "selector", "l", "", "Label selector of the members.")
	cmd.Flags().StringVar(&o.dryRun, "dry-run", dryRunNone, `Must be "none", "server", or "client": only show what would be written, after sending it to the server for a trial, or without.`)
	completeFlag(cmd, "dry-run", fixed(dryRunNone, dryRunServer, dryRunClient))
	completeFlag(cmd, "context", o.flags.contexts)
}

// validate checks what can be checked before the fleet is asked.
func (o *taintsOptions) validate() error {
	if !slices.Contains([]string{dryRunNone, dryRunClient, dryRunServer}, o.dryRun) {
		return fmt.Errorf("--dry-run is %q, must be %q, %q or %q", o.dryRun, dryRunNone, dryRunServer, dryRunClient)
	}
	ways := 0
	for _, chosen := range []bool{len(o.names) > 0, o.all, o.selector != ""} {
		if chosen {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("expected the names of members, or --all, or a selector (-l)")
	}
	return nil
}

// run changes every member that is chosen. One that fails does not keep the others
// from it.
func (o *taintsOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	client, err := o.flags.fleetClient()
	if err != nil {
		return err
	}
	names, err := o.choose(ctx, client)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		fmt.Fprintln(o.ErrOut, "No clusters found.")
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, o.one(ctx, client, name))
	}
	return errors.Join(errs...)
}

func (o *taintsOptions) choose(ctx context.Context, client fleetclient.Interface) ([]string, error) {
	if len(o.names) > 0 {
		return o.names, nil
	}
	clusters, err := client.ClusterV1alpha1().Clusters().List(ctx, metav1.ListOptions{LabelSelector: o.selector})
	if err != nil {
		return nil, getError(err, "")
	}
	var names []string
	for i := range clusters.Items {
		names = append(names, clusters.Items[i].Name)
	}
	return names, nil
}

// one changes the taints of a member and prints what became of it. Whoever writes
// other taints meanwhile is not overwritten.
func (o *taintsOptions) one(ctx context.Context, client fleetclient.Interface, name string) error {
	var cluster *clusterv1alpha1.Cluster
	var did string
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		found, err := client.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return getError(err, name)
		}
		changed, said, err := o.change(name, found.Spec.Taints)
		if err != nil {
			return err
		}
		did = said
		cluster, err = o.write(ctx, client, found, changed)
		return err
	})
	if err != nil {
		return err
	}
	return o.show(cluster, did)
}

// write writes the taints, unless they are the same or this is a dry run.
func (o *taintsOptions) write(ctx context.Context, client fleetclient.Interface, cluster *clusterv1alpha1.Cluster, taints []corev1.Taint) (*clusterv1alpha1.Cluster, error) {
	if slices.EqualFunc(cluster.Spec.Taints, taints, func(a, b corev1.Taint) bool { return a.MatchTaint(&b) && a.Value == b.Value }) {
		return cluster, nil
	}
	if o.dryRun == dryRunClient {
		cluster.Spec.Taints = taints
		return cluster, nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": cluster.UID, "resourceVersion": cluster.ResourceVersion},
		"spec":     map[string]any{"taints": taints},
	})
	if err != nil {
		return nil, fmt.Errorf("make the patch of cluster %q: %w", cluster.Name, err)
	}
	options := metav1.PatchOptions{FieldManager: "fleet-taint"}
	if o.dryRun == dryRunServer {
		options.DryRun = []string{metav1.DryRunAll}
	}
	patched, err := client.ClusterV1alpha1().Clusters().Patch(ctx, cluster.Name, types.MergePatchType, patch, options)
	if err != nil {
		return nil, fmt.Errorf("change the taints of cluster %q: %w", cluster.Name, err)
	}
	return patched, nil
}

func (o *taintsOptions) show(cluster *clusterv1alpha1.Cluster, did string) error {
	switch o.dryRun {
	case dryRunClient:
		did += " (dry run)"
	case dryRunServer:
		did += " (server dry run)"
	}
	o.output.NamePrintFlags.Operation = did
	printer, err := o.output.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(cluster, o.Out)
}

// addTaints and removeTaints are kubectl's rules for one object's taints.
func addTaints(name string, taints, added []corev1.Taint, overwrite bool) ([]corev1.Taint, error) {
	if exists := taintsutil.CheckIfTaintsAlreadyExists(taints, added); exists != "" && !overwrite {
		return nil, fmt.Errorf("cluster %s already has %s taint(s) with same effect(s) and --overwrite is false", name, exists)
	}
	changed := slices.Clone(taints)
	for _, taint := range added {
		at := slices.IndexFunc(changed, func(t corev1.Taint) bool { return t.MatchTaint(&taint) })
		switch {
		case at < 0:
			changed = append(changed, taint)
		case changed[at].Value != taint.Value:
			changed[at] = taint
		}
	}
	return changed, nil
}

func removeTaints(name string, taints, removed []corev1.Taint) ([]corev1.Taint, error) {
	var errs []error
	for i := range removed {
		var found bool
		if removed[i].Effect == "" {
			taints, found = taintsutil.DeleteTaintsByKey(taints, removed[i].Key)
		} else {
			taints, found = taintsutil.DeleteTaint(taints, &removed[i])
		}
		if !found {
			errs = append(errs, fmt.Errorf("taint %q not found on cluster %s", removed[i].ToString(), name))
		}
	}
	return taints, errors.Join(errs...)
}

// isTaint tells taints from names, which have none of these.
func isTaint(arg string) bool {
	return strings.ContainsAny(arg, "=:") || strings.HasSuffix(arg, "-")
}
