// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/health"
)

// outcome is what merging reports into a binding comes to.
type outcome struct {
	// verdicts has one answer per report, in their order.
	verdicts []verdict
	// changed says that the binding has to be written.
	changed bool
}

// verdict is the answer to one report, valid once the binding is written.
type verdict struct {
	reason, message string
}

var accepted = verdict{reason: workv1alpha1.FeedbackAccepted}

// refused says that some report was not accepted.
func (o outcome) refused() bool {
	return slices.ContainsFunc(o.verdicts, func(v verdict) bool { return v != accepted })
}

// merge brings reports into a binding: confirmed tombstones go, the state of each
// member is replaced by what it reported, that of members which are not among the
// binding's any more is dropped, but for why their tombstones remain, and the condition FullyApplied follows.
// failures say for which members no work can be rendered, the empty name standing
// for all. Statuses are kept up to a limit in bytes. It is pure but for the binding,
// which it modifies.
func merge(binding workv1alpha1.Binding, reports []*report, failures map[string]error, limit int, now metav1.Time) outcome {
	spec, status := binding.GetSpec(), binding.GetStatus()
	tombstones := len(spec.Tombstones)
	before := status.DeepCopy()
	held := spec.Holders()
	result := outcome{verdicts: make([]verdict, len(reports))}
	// Confirmations first: the member may have made the object that follows.
	for n, r := range reports {
		if r.item.Deleted {
			result.verdicts[n] = bury(spec, status, r)
		}
	}
	for n, r := range reports {
		if !r.item.Deleted {
			result.verdicts[n] = take(binding, held, r)
		}
	}
	status.AggregatedStatus = slices.DeleteFunc(status.AggregatedStatus, func(item workv1alpha1.AggregatedStatusItem) bool {
		if buried(spec, item.ClusterName) {
			return !lingers(spec, &item)
		}
		return !held.Has(item.ClusterName) || item.TemplateUID != spec.Resource.UID
	})
	noteFailures(binding, failures)
	slices.SortStableFunc(status.AggregatedStatus, func(a, b workv1alpha1.AggregatedStatusItem) int {
		return cmp.Compare(a.ClusterName, b.ClusterName)
	})
	fit(binding, limit, now)
	setFullyApplied(binding, failures, now)
	setDrifted(binding, now)
	result.changed = len(spec.Tombstones) != tombstones || !equality.Semantic.DeepEqual(before, status)
	return result
}

// bury removes the tombstone that a member confirmed, and what it said about it.
func bury(spec *workv1alpha1.BindingSpec, status *workv1alpha1.BindingStatus, r *report) verdict {
	n := tombstoneOf(spec, r.member, r.item.TemplateUID)
	switch {
	case n < 0:
		return verdict{workv1alpha1.FeedbackStale, "there is no such tombstone"}
	case r.item.BindingGeneration < spec.Tombstones[n].Generation:
		// The template left the member, came back and left again meanwhile.
		return verdict{workv1alpha1.FeedbackStale, "the tombstone is a later one"}
	}
	spec.Tombstones = slices.Delete(spec.Tombstones, n, n+1)
	status.AggregatedStatus = slices.DeleteFunc(status.AggregatedStatus, func(item workv1alpha1.AggregatedStatusItem) bool {
		return item.ClusterName == r.member && item.TemplateUID == r.item.TemplateUID
	})
	return accepted
}

// linger replaces the state of a member by why an object of its does not go. It
// has no content, which tells it from what was said before the tombstone.
func linger(status *workv1alpha1.BindingStatus, r *report) verdict {
	status.AggregatedStatus = slices.DeleteFunc(status.AggregatedStatus, func(item workv1alpha1.AggregatedStatusItem) bool {
		return item.ClusterName == r.member
	})
	status.AggregatedStatus = append(status.AggregatedStatus, workv1alpha1.AggregatedStatusItem{
		ClusterName:       r.member,
		AppliedReason:     r.item.AppliedReason,
		AppliedMessage:    r.item.AppliedMessage,
		Health:            workv1alpha1.ResourceUnknown,
		TemplateUID:       r.item.TemplateUID,
		BindingGeneration: r.item.BindingGeneration,
	})
	return accepted
}

// lingers says whether the state of a member is about a tombstone it still has.
func lingers(spec *workv1alpha1.BindingSpec, item *workv1alpha1.AggregatedStatusItem) bool {
	return !item.Applied && item.ContentHash == "" && tombstoneOf(spec, item.ClusterName, item.TemplateUID) >= 0
}

// take replaces the state of a member by what it reported.
func take(binding workv1alpha1.Binding, held sets.Set[string], r *report) verdict {
	spec, status := binding.GetSpec(), binding.GetStatus()
	switch {
	case !r.item.Applied && tombstoneOf(spec, r.member, r.item.TemplateUID) >= 0:
		return linger(status, r)
	case buried(spec, r.member):
		return verdict{workv1alpha1.FeedbackStale, "the work is a tombstone"}
	case !held.Has(r.member):
		return verdict{workv1alpha1.FeedbackNotFound, "the member is not in the binding"}
	case r.item.TemplateUID != spec.Resource.UID:
		return verdict{workv1alpha1.FeedbackStale, "the report is about another template"}
	}
	item := workv1alpha1.AggregatedStatusItem{
		ClusterName:        r.member,
		Status:             r.item.Status,
		Applied:            r.item.Applied,
		AppliedReason:      r.item.AppliedReason,
		AppliedMessage:     r.item.AppliedMessage,
		Health:             cmp.Or(r.item.Health, workv1alpha1.ResourceUnknown),
		ContentHash:        r.item.ContentHash,
		TemplateUID:        r.item.TemplateUID,
		TemplateGeneration: r.item.TemplateGeneration,
		BindingGeneration:  r.item.BindingGeneration,
		MemberGeneration:   r.item.MemberGeneration,
		Drift:              r.item.Drift,
		Unschedulable:      r.item.Unschedulable,
	}
	if before := reportOf(status, r.member, spec.Resource.UID); before != nil {
		keepEnd(spec, before, &item)
		*before = item
	} else {
		status.AggregatedStatus = append(status.AggregatedStatus, item)
	}
	return accepted
}

// keepEnd keeps the status of what ran to its end, and is gone from the member since: that
// it finished is known from there alone, and must not be forgotten.
func keepEnd(spec *workv1alpha1.BindingSpec, before, item *workv1alpha1.AggregatedStatusItem) {
	if item.Status == nil && before.Status != nil && health.Finished(spec.Resource.GroupKind(), before.Status.Raw) {
		item.Status, item.Health = before.Status, before.Health
		item.TemplateGeneration, item.MemberGeneration = before.TemplateGeneration, before.MemberGeneration
	}
}

// targets returns the members that are to run the template: those decided upon,
// and, without replicas of their own, those that bindings which depend on this one
// go to. Those being evicted are not among them.
func targets(spec *workv1alpha1.BindingSpec) []workv1alpha1.TargetCluster {
	members := slices.Clone(spec.Clusters)
	seen := sets.New[string]()
	for _, cluster := range members {
		seen.Insert(cluster.Name)
	}
	for _, dependent := range spec.RequiredBy {
		for _, cluster := range dependent.Clusters {
			if !seen.Has(cluster.Name) {
				seen.Insert(cluster.Name)
				members = append(members, workv1alpha1.TargetCluster{Name: cluster.Name})
			}
		}
	}
	return members
}

// buried says whether the member has a tombstone, which is its work until it is
// confirmed.
func buried(spec *workv1alpha1.BindingSpec, member string) bool {
	return slices.ContainsFunc(spec.Tombstones, func(t workv1alpha1.Tombstone) bool { return t.ClusterName == member })
}

// tombstoneOf returns the index of the tombstone of a member for a template, -1
// when there is none.
func tombstoneOf(spec *workv1alpha1.BindingSpec, member string, template types.UID) int {
	return slices.IndexFunc(spec.Tombstones, func(t workv1alpha1.Tombstone) bool {
		return t.ClusterName == member && t.UID == template
	})
}

// reportOf returns what a member reported about a template, nil when nothing.
func reportOf(status *workv1alpha1.BindingStatus, member string, template types.UID) *workv1alpha1.AggregatedStatusItem {
	for n := range status.AggregatedStatus {
		if item := &status.AggregatedStatus[n]; item.ClusterName == member && item.TemplateUID == template {
			return item
		}
	}
	return nil
}
