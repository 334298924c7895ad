// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"fleet.dev/fleet/cmd/fleet/handover"
)

type unknownOptions struct {
	inspectOptions
	kind  string
	prune bool
	yes   bool
}

func newGetUnknownCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &unknownOptions{inspectOptions: inspectOptions{flags: newKubeconfigFlags(), IOStreams: streams}}
	cmd := &cobra.Command{
		Use:   "unknown [KIND]",
		Short: "Show objects of members that the fleet does not know any more",
		Long: `Show objects of members that carry the mark of this fleet and that no object of the
fleet stands for. There are some after the fleet was restored from an older state.
They are left running. To have the fleet know them again, create them again, or use
"promote".

With --prune, which takes the name of a member, they are deleted there after they
were shown and you agreed. One that changed since it was shown, or that the fleet
knows by then, is left alone.`,
		Example: examples(name,
			"# In all members",
			"{fleet} get unknown",
			"",
			"# Delete those of one kind, in one namespace of one member",
			"{fleet} get unknown Deployment --cluster paris -n shop --prune"),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.kind = args[0]
			}
			return o.run(cmd.Context())
		},
	}
	// Ahead of kubectl's flags, of which one that is seldom used has that name.
	cmd.Flags().StringVar(&o.cluster, "cluster", "", "Name of the member. Without it, all members are looked through.")
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.prune, "prune", false, "Delete what is shown, after asking.")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "Do not ask before deleting.")
	utilruntime.Must(cmd.RegisterFlagCompletionFunc("cluster", completeClusters(o.flags, 0)))
	return cmd
}

func (o *unknownOptions) run(ctx context.Context) error {
	if o.prune && o.cluster == "" {
		return errors.New("--prune takes the member: give its name with --cluster")
	}
	members, err := o.members(ctx)
	if err != nil {
		return err
	}
	fleetID, err := o.fleetID(ctx)
	if err != nil {
		return err
	}
	config, err := o.flags.config()
	if err != nil {
		return err
	}
	client, err := newFleetClient(config)
	if err != nil {
		return err
	}
	var found []handover.Unknown
	var errs []error
	for _, name := range members {
		member, err := handover.NewMember(config, name)
		if err != nil {
			return err
		}
		unknown, err := handover.FindUnknown(ctx, client, fleetID, member)
		if err != nil {
			errs = append(errs, err) // the others are shown
			continue
		}
		found = append(found, slices.DeleteFunc(unknown, func(u handover.Unknown) bool { return !o.wants(&u) })...)
	}
	if err := o.print(found); err != nil {
		return err
	}
	if err := errors.Join(errs...); err != nil || !o.prune || len(found) == 0 {
		return err
	}
	if !o.yes && !o.agreed(len(found)) {
		return errors.New("nothing was deleted")
	}
	member, err := handover.NewMember(config, o.cluster)
	if err != nil {
		return err
	}
	for i := range found {
		if err := handover.Prune(ctx, client, member, &found[i]); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(o.Out, "%s deleted from %s\n", &found[i], o.cluster)
	}
	return errors.Join(errs...)
}

// wants returns true for what was asked for.
func (o *unknownOptions) wants(u *handover.Unknown) bool {
	namespace := o.flags.overrides.Context.Namespace
	return (namespace == "" || namespace == u.Namespace) &&
		(o.kind == "" || strings.EqualFold(o.kind, u.Kind) || strings.EqualFold(o.kind, u.Resource.Resource))
}

// agreed asks whether to delete so many objects.
func (o *unknownOptions) agreed(count int) bool {
	fmt.Fprintf(o.ErrOut, "Delete these %d objects from the member %s? Type its name to go on: ", count, o.cluster)
	answer, _ := bufio.NewReader(o.In).ReadString('\n')
	return strings.TrimSpace(answer) == o.cluster
}

func (o *unknownOptions) print(found []handover.Unknown) error {
	if len(found) == 0 {
		fmt.Fprintln(o.ErrOut, "No unknown objects found.")
		return nil
	}
	w := tabwriter.NewWriter(o.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "CLUSTER\tNAMESPACE\tKIND\tNAME\tAGE")
	for i := range found {
		u := &found[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.Cluster, cmp.Or(u.Namespace, "<none>"), u.Kind, u.Name, duration.HumanDuration(time.Since(u.Created)))
	}
	return w.Flush()
}

// asJSON prints a value of an object.
func asJSON(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}
