// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler"
)

// Print writes an explanation for people: the policies, what is made of each
// member, what the binding says, and what is different in each member.
func Print(out io.Writer, target *Target, explanation *scheduler.Explanation, all []Rendered) error {
	w := &writer{out: out}
	w.line("%s", target)
	w.policies(explanation)
	w.decision(explanation)
	w.members(explanation)
	if target.Binding != nil {
		w.conditions(target)
		w.rendered(target, all)
	}
	return w.err
}

// writer keeps the first error.
type writer struct {
	out io.Writer
	err error
}

func (w *writer) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format+"\n", args...)
	}
}

// table writes rows in columns.
func (w *writer) table(rows ...[]string) {
	if w.err != nil {
		return
	}
	tab := printers.GetNewTabWriter(w.out)
	for _, row := range rows {
		if _, w.err = fmt.Fprintln(tab, "  "+strings.TrimRight(strings.Join(row, "\t"), "\t")); w.err != nil {
			return
		}
	}
	w.err = tab.Flush()
}

func (w *writer) policies(explanation *scheduler.Explanation) {
	if len(explanation.Policies) == 0 {
		w.line("\nNo policy matches.")
		return
	}
	w.line("\nPolicies that match, the first wins unless another holds the object and is not preempted:")
	rows := [][]string{{"POLICY", "PRIORITY", "SELECTS BY", ""}}
	for _, policy := range explanation.Policies {
		name := "ClusterPropagationPolicy/" + policy.Name
		if policy.Namespace != "" {
			name = "PropagationPolicy/" + policy.Name
		}
		follows := ""
		if policy.Follows {
			follows = "followed"
		}
		rows = append(rows, []string{name, strconv.Itoa(int(policy.Priority)), policy.By, follows})
	}
	w.table(rows...)
}

func (w *writer) decision(explanation *scheduler.Explanation) {
	if explanation.Why == "" {
		w.line("\nDecided now it would be: %s", explanation.Result)
		return
	}
	w.line("\nDecided now it would be: %s (%s)", explanation.Result, explanation.Why)
}

func (w *writer) members(explanation *scheduler.Explanation) {
	if len(explanation.Members) == 0 {
		w.line("\nThe fleet has no members.")
		return
	}
	w.line("")
	rows := [][]string{{"MEMBER", "NOW", "THEN", "SCORE", "ROOM", "VERDICT"}}
	for _, member := range explanation.Members {
		score, room := "", ""
		if member.Considered {
			score, room = strconv.FormatInt(member.Score, 10), strconv.Itoa(int(member.Room))
		}
		rows = append(rows, []string{member.Name, share(member.Before, member.Placed), share(member.After, member.Chosen), score, room, verdict(member)})
	}
	w.table(rows...)
}

func share(replicas int32, placed bool) string {
	switch {
	case !placed:
		return "-"
	case replicas == 0:
		return "yes"
	default:
		return strconv.Itoa(int(replicas))
	}
}

func verdict(member scheduler.MemberVerdict) string {
	switch {
	case member.Refusal != "":
		return member.Plugin + ": " + member.Refusal
	case member.Chosen:
		return "chosen"
	case member.Considered:
		return "not needed"
	default:
		return "not considered"
	}
}

func (w *writer) conditions(target *Target) {
	w.line("\nThe binding %s says:", target.Binding.GetName())
	rows := [][]string{}
	for _, condition := range target.Binding.GetStatus().Conditions {
		rows = append(rows, []string{condition.Type, string(condition.Status), condition.Reason, condition.Message})
	}
	for _, task := range target.Binding.GetSpec().GracefulEvictionTasks {
		rows = append(rows, []string{"Leaving", task.FromCluster, task.Reason, task.Message})
	}
	for _, item := range target.Binding.GetStatus().AggregatedStatus {
		rows = append(rows, reported(item)...)
	}
	for _, needed := range target.Binding.GetSpec().RequiredBy {
		rows = append(rows, []string{"Needed", needed.Name})
	}
	w.table(rows...)
}

// reported are the rows about what a member reported beside a status.
func reported(item workv1alpha1.AggregatedStatusItem) [][]string {
	var rows [][]string
	switch {
	case item.AppliedReason == "" || item.AppliedReason == workv1alpha1.AppliedReasonSuccess:
	case item.Applied:
		rows = append(rows, []string{"Applied", item.ClusterName, item.AppliedReason, item.AppliedMessage})
	default:
		rows = append(rows, []string{"Refused", item.ClusterName, item.AppliedReason, item.AppliedMessage})
	}
	if pods := item.Unschedulable; pods != nil {
		rows = append(rows, []string{"Pending", item.ClusterName, "", fmt.Sprintf("%d Pods find no node since %s", pods.Count, pods.Since.UTC().Format(time.RFC3339))})
	}
	return rows
}

// rendered says for each member what is different there.
func (w *writer) rendered(target *Target, all []Rendered) {
	for _, one := range all {
		switch {
		case one.Err != nil:
			w.line("\nIn %s: not rendered: %v", one.Cluster, one.Err)
			continue
		case one.Deleted:
			w.line("\nIn %s: to be deleted", one.Cluster)
			continue
		case one.Manifest == nil:
			w.line("\nIn %s: nothing", one.Cluster)
			continue
		}
		applied := overridesOf(one.Manifest)
		if applied != "" {
			applied = " (overrides " + applied + ")"
		}
		changes, err := Changes(target, one)
		if err != nil {
			w.err = err
			return
		}
		if len(changes) == 0 {
			w.line("\nIn %s: unchanged%s", one.Cluster, applied)
			continue
		}
		w.line("\nIn %s%s:", one.Cluster, applied)
		for _, change := range changes {
			w.line("  %s: %s -> %s", change.Path, text(change.Was), text(change.Is))
		}
	}
}

// overridesOf returns the policies whose overrides are in a manifest.
func overridesOf(manifest map[string]any) string {
	metadata, _ := manifest["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	names, _ := annotations[wellknown.AnnotationOverrides].(string)
	return strings.ReplaceAll(names, ",", ", ")
}

// text is a value in one line.
func text(value any) string {
	if value == nil {
		return "(none)"
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(encoded)
}
