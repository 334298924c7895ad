// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/work"
)

// nextTombstones returns the tombstones a spec must have after a write.
//
// Those of old stay, whatever the writer says, unless the same template is
// wanted in that member again. Each member that held the template of old and
// does not hold that same template any more gets one. It orphans the object when
// the writer asked for that by bringing such a tombstone along, or when the old
// spec preserves what the template made and the template is deleted or replaced:
// a later edit of the flag, or a template of the same name, changes nothing. From
// a member that merely lost the template to another one the object is deleted. The
// order is that of
// their making: a member's first tombstone is served first.
func nextTombstones(updated, old *work.BindingSpec) []work.Tombstone {
	now := updated.Holders()
	keeps := func(member string, uid types.UID) bool { return uid == updated.Resource.UID && now.Has(member) }
	ended := updated.Resource.UID != old.Resource.UID || now.Len() == 0
	preserve := ended && ptr.Deref(old.PreserveResourcesOnDeletion, false)
	var next []work.Tombstone
	for _, tombstone := range old.Tombstones {
		if !keeps(tombstone.ClusterName, tombstone.UID) {
			next = append(next, tombstone)
		}
	}
	for _, member := range sets.List(old.Holders()) {
		if keeps(member, old.Resource.UID) {
			continue
		}
		tombstone := work.Tombstone{ClusterName: member, UID: old.Resource.UID}
		if slices.ContainsFunc(next, func(t work.Tombstone) bool { return t.ClusterName == member && t.UID == tombstone.UID }) {
			continue
		}
		tombstone.Orphan = preserve || slices.Contains(updated.Tombstones, work.Tombstone{ClusterName: member, UID: tombstone.UID, Orphan: true})
		next = append(next, tombstone)
	}
	return next
}

// reportsOf returns the reports of members that have, or still have to let go,
// something of the binding.
func reportsOf(spec *work.BindingSpec, reports []work.AggregatedStatusItem) []work.AggregatedStatusItem {
	members := spec.Holders()
	for _, tombstone := range spec.Tombstones {
		members.Insert(tombstone.ClusterName)
	}
	var kept []work.AggregatedStatusItem
	for i := range reports {
		if members.Has(reports[i].ClusterName) {
			kept = append(kept, reports[i])
		}
	}
	return kept
}

// confirmTombstones returns those of old that the writer, who speaks for the
// members, kept. It cannot add or change any.
func confirmTombstones(updated, old *work.BindingSpec) []work.Tombstone {
	var next []work.Tombstone
	for _, tombstone := range old.Tombstones {
		if slices.Contains(updated.Tombstones, tombstone) {
			next = append(next, tombstone)
		}
	}
	return next
}
