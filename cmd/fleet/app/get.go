// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"

	"fleet.dev/fleet/cmd/fleet/join"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetscheme "fleet.dev/fleet/pkg/generated/clientset/versioned/scheme"
)

// acceptTable asks the server to print: its columns are the ones kubectl shows.
const acceptTable = "application/json;as=Table;v=v1;g=meta.k8s.io"

func newGetCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Show what is in the fleet",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGetClustersCommand(name, streams), newGetUnknownCommand(name, streams))
	return cmd
}

type getClustersOptions struct {
	flags     *kubeconfigFlags
	output    string
	selector  string
	noHeaders bool
	names     []string
	genericiooptions.IOStreams
}

func newGetClustersCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &getClustersOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:     "clusters [NAME...]",
		Aliases: []string{"cluster"},
		Short:   "Show the members of the fleet",
		Long: `Show the members of the fleet, as "kubectl get clusters" does.

kubectl's flags to reach a server (--server, --token, --as, ...) work as well.`,
		Example: examples(name,
			"# All members, with more columns",
			"{fleet} get clusters -o wide",
			"",
			"# One member, with all its status",
			"{fleet} get clusters paris -o yaml"),
		ValidArgsFunction: completeClusters(o.flags, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return o.run(cmd.Context())
		},
	}
	o.flags.add(cmd.Flags())
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "Output format: wide, json, yaml, name or jsonpath=TEMPLATE.")
	cmd.Flags().StringVarP(&o.selector, "selector", "l", "", "Label selector of the members to show.")
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Print no column headers.")
	completeFlag(cmd, "output", fixed("wide", "json", "yaml", "name", "jsonpath="))
	completeFlag(cmd, "context", o.flags.contexts)
	return cmd
}

func (o *getClustersOptions) run(ctx context.Context) error {
	printer, err := o.printer()
	if err != nil {
		return err
	}
	if len(o.names) > 0 && o.selector != "" {
		return errors.New("a selector (-l) and names exclude each other: give one of them")
	}
	client, err := o.flags.fleetClient()
	if err != nil {
		return err
	}
	if o.human() {
		return o.printTable(ctx, client, printer)
	}
	return o.printObjects(ctx, client, printer)
}

// human says whether the output is a table.
func (o *getClustersOptions) human() bool { return o.output == "" || o.output == "wide" }

func (o *getClustersOptions) printer() (printers.ResourcePrinter, error) {
	template, isJSONPath := strings.CutPrefix(o.output, "jsonpath=")
	switch {
	case o.human():
		return printers.NewTablePrinter(printers.PrintOptions{Wide: o.output == "wide", NoHeaders: o.noHeaders}), nil
	case o.output == "json":
		return &printers.OmitManagedFieldsPrinter{Delegate: &printers.JSONPrinter{}}, nil
	case o.output == "yaml":
		return &printers.OmitManagedFieldsPrinter{Delegate: &printers.YAMLPrinter{}}, nil
	case o.output == "name":
		return &printers.NamePrinter{}, nil
	case isJSONPath:
		printer, err := printers.NewJSONPathPrinter(template)
		if err != nil {
			return nil, fmt.Errorf("parse the output format %q: %w", o.output, err)
		}
		return printer, nil
	default:
		return nil, fmt.Errorf("unknown output format %q, expected wide, json, yaml, name or jsonpath=TEMPLATE", o.output)
	}
}

// printTable prints the server's table, or those of the named members as one.
// What was found is printed before the error about what was not.
func (o *getClustersOptions) printTable(ctx context.Context, client fleetclient.Interface, printer printers.ResourcePrinter) error {
	names := o.names
	if len(names) == 0 {
		names = []string{""}
	}
	var all *metav1.Table
	var errs []error
	for _, name := range names {
		table, err := o.table(ctx, client, name)
		switch {
		case err != nil:
			errs = append(errs, err)
		case all == nil:
			all = table
		default:
			all.Rows = append(all.Rows, table.Rows...)
		}
	}
	switch {
	case all == nil:
	case len(all.Rows) == 0:
		fmt.Fprintln(o.ErrOut, "No clusters found. A cluster joins with \"fleet join NAME --kubeconfig FILE\".")
	default:
		errs = append(errs, printer.PrintObj(all, o.Out))
	}
	return errors.Join(errs...)
}

// table asks for the table of one member, or of all when the name is empty.
func (o *getClustersOptions) table(ctx context.Context, client fleetclient.Interface, name string) (*metav1.Table, error) {
	request := client.ClusterV1alpha1().RESTClient().Get().Resource("clusters").SetHeader("Accept", acceptTable)
	if name != "" {
		request = request.Name(name)
	} else if o.selector != "" {
		request = request.Param("labelSelector", o.selector)
	}
	result := request.Do(ctx)
	if err := result.Error(); err != nil {
		return nil, getError(err, name)
	}
	raw, err := result.Raw()
	if err != nil {
		return nil, getError(err, name)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(raw, table); err != nil {
		return nil, fmt.Errorf("read the table of clusters: %w", err)
	}
	return table, nil
}

// printObjects prints one object, or a list of those asked for.
func (o *getClustersOptions) printObjects(ctx context.Context, client fleetclient.Interface, printer printers.ResourcePrinter) error {
	var errs []error
	list := &clusterv1alpha1.ClusterList{}
	if len(o.names) == 0 {
		found, err := client.ClusterV1alpha1().Clusters().List(ctx, metav1.ListOptions{LabelSelector: o.selector})
		if err != nil {
			return getError(err, "")
		}
		list = found
	}
	for _, name := range o.names {
		cluster, err := client.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			errs = append(errs, getError(err, name))
			continue
		}
		list.Items = append(list.Items, *cluster)
	}
	var object runtime.Object = list
	if len(o.names) == 1 && len(list.Items) == 1 {
		object = &list.Items[0]
	}
	if len(o.names) == 0 || len(list.Items) > 0 {
		errs = append(errs, setKinds(object), o.printObject(object, printer))
	}
	return errors.Join(errs...)
}

// printObject prints an object or a list. Names are printed one by one: their
// printer takes no lists.
func (o *getClustersOptions) printObject(object runtime.Object, printer printers.ResourcePrinter) error {
	if o.output == "name" && meta.IsListType(object) {
		return meta.EachListItem(object, func(item runtime.Object) error { return printer.PrintObj(item, o.Out) })
	}
	return printer.PrintObj(object, o.Out)
}

// setKinds fills in apiVersion and kind, which clients decode away.
func setKinds(object runtime.Object) error {
	kinds, _, err := fleetscheme.Scheme.ObjectKinds(object)
	if err != nil {
		return fmt.Errorf("find the kind of %T: %w", object, err)
	}
	object.GetObjectKind().SetGroupVersionKind(kinds[0])
	if meta.IsListType(object) {
		return meta.EachListItem(object, setKinds)
	}
	return nil
}

// getError says what was looked for.
func getError(err error, name string) error {
	if name != "" {
		return fmt.Errorf("get cluster %q: %w", name, join.FleetError(err))
	}
	return fmt.Errorf("list clusters: %w", join.FleetError(err))
}
