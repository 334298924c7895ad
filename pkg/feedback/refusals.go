// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// refusal is what some members have against a template, or do not do as it says. It
// is the same for all of them, word for word.
type refusal struct {
	reason, message string
	members         []string
}

// gather collects what members have against a template from their reports, those
// of which tells, in the order of the reports.
func gather(items []workv1alpha1.AggregatedStatusItem, tells func(*workv1alpha1.AggregatedStatusItem) bool) []refusal {
	var all []refusal
	for i := range items {
		item := &items[i]
		if !tells(item) {
			continue
		}
		same := slices.IndexFunc(all, func(r refusal) bool { return r.reason == item.AppliedReason && r.message == item.AppliedMessage })
		if same < 0 {
			same = len(all)
			all = append(all, refusal{reason: item.AppliedReason, message: item.AppliedMessage})
		}
		all[same].members = append(all[same].members, item.ClusterName)
	}
	return all
}

// maxWordsOfOne is how much of what one member says is in a condition, in bytes.
const maxWordsOfOne = 512

// retell says of the first few refusals who it is and why.
func retell(all []refusal) string {
	var texts []string
	for _, r := range all[:min(len(all), maxExplained)] {
		said := []string{named(r.members), r.reason, r.message}
		texts = append(texts, cut(strings.Join(slices.DeleteFunc(said, isEmpty), ": "), maxWordsOfOne))
	}
	if more := len(all) - maxExplained; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more reasons", more))
	}
	return strings.Join(texts, "; ")
}

func isEmpty(text string) bool { return text == "" }

// imperfect are the reasons of what is applied, but not quite as the template says.
var imperfect = sets.New(workv1alpha1.AppliedReasonPruned, workv1alpha1.AppliedReasonNotInterpreted)

// notable are the reasons of what is applied of which there is an Event.
var notable = imperfect.Union(sets.New(workv1alpha1.AppliedReasonRecreated))

// quiet are the reasons why something is not applied of which there is no Event: the
// user asked for that.
var quiet = sets.New("", workv1alpha1.AppliedReasonSuccess, workv1alpha1.AppliedReasonSuspended)

// undeletable are the reasons why an object cannot be deleted from a member that tell
// more than that it takes its time.
var undeletable = sets.New(workv1alpha1.AppliedReasonDenied, workv1alpha1.AppliedReasonForbidden, workv1alpha1.AppliedReasonInvalid)

// announce records an Event about the template for each refusal that is new in what
// was written. Who was refused the same before is not told again.
func (i *Intake) announce(before, after workv1alpha1.Binding) {
	if i.options.Events == nil {
		return
	}
	spec, was := after.GetSpec(), before.GetStatus()
	isNew := func(item *workv1alpha1.AggregatedStatusItem) bool {
		known := reportOf(was, item.ClusterName, item.TemplateUID)
		return known == nil || !sameRefusal(known, item)
	}
	items := after.GetStatus().AggregatedStatus
	template := spec.Resource
	for _, r := range gather(items, func(item *workv1alpha1.AggregatedStatusItem) bool {
		refused := !item.Applied && !quiet.Has(item.AppliedReason) || item.Applied && notable.Has(item.AppliedReason)
		return refused && !lingers(spec, item) && isNew(item)
	}) {
		i.warn(template, r.reason, fmt.Sprintf("%s: %s", whose(r), r.message))
	}
	for _, r := range gather(items, func(item *workv1alpha1.AggregatedStatusItem) bool {
		return lingers(spec, item) && undeletable.Has(item.AppliedReason) && isNew(item)
	}) {
		i.warn(template, r.reason, fmt.Sprintf("%s: cannot be deleted: %s", whose(r), r.message))
	}
}

// sameRefusal returns true when a member says again what it said before. Words about the
// same content that differ in digits alone are the same: ports, counters and times
// differ at each try.
func sameRefusal(before, after *workv1alpha1.AggregatedStatusItem) bool {
	switch {
	case before.AppliedReason != after.AppliedReason:
		return false
	case before.ContentHash != after.ContentHash:
		return before.AppliedMessage == after.AppliedMessage
	}
	return withoutDigits(before.AppliedMessage) == withoutDigits(after.AppliedMessage)
}

func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// warn records an Event about a template.
func (i *Intake) warn(template workv1alpha1.ObjectReference, reason, message string) {
	i.options.Events.Event(&corev1.ObjectReference{
		APIVersion: template.APIVersion, Kind: template.Kind, Namespace: template.Namespace, Name: template.Name, UID: template.UID,
	}, corev1.EventTypeWarning, reason, cut(message, maxNote))
}

// whose names who refuses, in an Event.
func whose(r refusal) string {
	if len(r.members) == 1 {
		return fmt.Sprintf("member %q", r.members[0])
	}
	return "members " + named(r.members)
}
