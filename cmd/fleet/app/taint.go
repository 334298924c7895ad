// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	taintsutil "k8s.io/kubernetes/pkg/util/taints"
)

func newTaintCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := newTaintsOptions(streams)
	var overwrite bool
	cmd := &cobra.Command{
		Use:   "taint NAME... KEY=VALUE:EFFECT ... KEY[:EFFECT]- ...",
		Short: "Change the taints of members",
		Long: `Change the taints of members, as "kubectl taint" does for nodes.

A taint keeps templates away from a member unless their policy tolerates it. Its
effect is NoSchedule, PreferNoSchedule or NoExecute; its value may be left out. A
minus at the end removes a taint, that of one effect or, without an effect, all of
the key.`,
		Example: examples(name,
			"# Keep a member for templates that tolerate dedicated=gpu",
			"{fleet} taint paris dedicated=gpu:NoSchedule",
			"",
			"# Give a taint another value",
			"{fleet} taint paris dedicated=ml:NoSchedule --overwrite",
			"",
			"# Remove it, and every taint of another key, from the members of a region",
			"{fleet} taint -l region=eu dedicated:NoSchedule- maintenance-"),
		ValidArgsFunction: completeClusters(o.flags, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, specs, err := splitTaintArgs(args)
			if err != nil {
				return err
			}
			o.names = names
			if o.change, err = taintChange(specs, overwrite); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&overwrite, "overwrite", false, "Let a taint that is there already get another value.")
	return cmd
}

// splitTaintArgs tells the names of members from taints. Users of kubectl may say
// "clusters" first, as they say "nodes" there.
func splitTaintArgs(args []string) (names, specs []string, err error) {
	at := slices.IndexFunc(args, isTaint)
	if at < 0 {
		return nil, nil, errors.New("expected at least one taint: KEY=VALUE:EFFECT, or KEY- to remove one")
	}
	names, specs = args[:at], args[at:]
	for _, spec := range specs {
		if !isTaint(spec) {
			return nil, nil, fmt.Errorf("all members must be named before taints: %s", spec)
		}
	}
	if len(names) > 0 && (names[0] == "clusters" || names[0] == "cluster") {
		names = names[1:]
	}
	return names, specs, nil
}

// taintChange returns what the taints given do to those of a member.
func taintChange(specs []string, overwrite bool) (func(string, []corev1.Taint) ([]corev1.Taint, string, error), error) {
	added, removed, err := taintsutil.ParseTaints(specs)
	if err != nil {
		return nil, err
	}
	for _, taint := range added {
		if slices.ContainsFunc(removed, func(r corev1.Taint) bool { return r.Key == taint.Key && (r.Effect == "" || r.Effect == taint.Effect) }) {
			return nil, fmt.Errorf("cannot both set and remove the taint %s:%s", taint.Key, taint.Effect)
		}
	}
	did := "modified"
	switch {
	case len(removed) == 0:
		did = "tainted"
	case len(added) == 0:
		did = "untainted"
	}
	return func(name string, taints []corev1.Taint) ([]corev1.Taint, string, error) {
		changed, err := removeTaints(name, taints, removed)
		if err != nil {
			return nil, "", err
		}
		changed, err = addTaints(name, changed, added, overwrite)
		return changed, did, err
	}, nil
}
