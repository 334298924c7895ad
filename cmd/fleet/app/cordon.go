// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

func newCordonCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := newSchedulableCommand(streams, cordon)
	cmd.Use = "cordon NAME..."
	cmd.Short = "Keep new templates away from members"
	cmd.Long = `Keep new templates away from members, as "kubectl cordon" does with Pods and nodes.
What runs on them stays.

It is the taint ` + wellknown.TaintClusterUnschedulable + `:NoSchedule, which policies can
tolerate.`
	cmd.Example = examples(name,
		"# Place nothing new on a member",
		"{fleet} cordon paris",
		"",
		"# On all members of a region",
		"{fleet} cordon -l region=eu")
	return cmd
}

func newUncordonCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	cmd := newSchedulableCommand(streams, uncordon)
	cmd.Use = "uncordon NAME..."
	cmd.Short = "Let members take new templates again"
	cmd.Long = `Let members take new templates again after "cordon".`
	cmd.Example = examples(name,
		"# Place templates on a member again",
		"{fleet} uncordon paris")
	return cmd
}

func newSchedulableCommand(streams genericiooptions.IOStreams, change func(string, []corev1.Taint) ([]corev1.Taint, string, error)) *cobra.Command {
	o := newTaintsOptions(streams)
	o.change = change
	cmd := &cobra.Command{
		ValidArgsFunction: completeClusters(o.flags, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	return cmd
}

func isCordon(taint corev1.Taint) bool { return taint.Key == wellknown.TaintClusterUnschedulable }

func cordon(_ string, taints []corev1.Taint) ([]corev1.Taint, string, error) {
	cordoned := corev1.Taint{Key: wellknown.TaintClusterUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if slices.ContainsFunc(taints, func(t corev1.Taint) bool { return t.MatchTaint(&cordoned) }) {
		return taints, "already cordoned", nil
	}
	return append(slices.Clone(taints), cordoned), "cordoned", nil
}

func uncordon(_ string, taints []corev1.Taint) ([]corev1.Taint, string, error) {
	if !slices.ContainsFunc(taints, isCordon) {
		return taints, "already uncordoned", nil
	}
	return slices.DeleteFunc(slices.Clone(taints), isCordon), "uncordoned", nil
}
