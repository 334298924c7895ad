// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/apis/work"
)

// change is a write of a binding's spec.
type change struct {
	updated, old *work.BindingSpec
	// orphaned says that the template of old is deleted so that members keep its
	// objects.
	orphaned bool
	// generation of the binding after the write.
	generation int64
}

// nextTombstones returns the tombstones a spec must have after a write.
//
// Those of old stay, whatever the writer says, unless the same template is
// wanted in that member again. Each member that held the template of old and
// does not hold that same template any more gets one. It orphans the object when
// the writer asked for that by bringing such a tombstone along, when the template
// is deleted with that wish, or when the old spec preserves what the template made
// and another one took its place: a later edit of the flag, or a template of the
// same name, changes nothing. From a member that merely lost the template the
// object is deleted, also when it was the only one: whoever takes a template that
// is gone off its members says so. The order is that of their making: a member's
// first tombstone is served first.
func nextTombstones(c change) []work.Tombstone {
	now := c.updated.Holders()
	keeps := func(member string, uid types.UID) bool { return uid == c.updated.Resource.UID && now.Has(member) }
	replaced := c.updated.Resource.UID != c.old.Resource.UID
	orphan := c.orphaned || replaced && ptr.Deref(c.old.PreserveResourcesOnDeletion, false)
	var next []work.Tombstone
	for _, tombstone := range c.old.Tombstones {
		if !keeps(tombstone.ClusterName, tombstone.UID) {
			next = append(next, tombstone)
		}
	}
	for _, member := range sets.List(c.old.Holders()) {
		if keeps(member, c.old.Resource.UID) {
			continue
		}
		tombstone := work.Tombstone{ClusterName: member, UID: c.old.Resource.UID, Generation: c.generation}
		same := func(t work.Tombstone) bool { return t.ClusterName == member && t.UID == tombstone.UID }
		if slices.ContainsFunc(next, same) {
			continue
		}
		asked := func(t work.Tombstone) bool { return same(t) && t.Orphan }
		tombstone.Orphan = orphan || slices.ContainsFunc(c.updated.Tombstones, asked)
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

// isOrphaned says whether the template of a binding is deleted so that members keep
// its objects.
func isOrphaned(b work.Binding) bool {
	uid := b.GetSpec().Resource.UID
	return uid != "" && b.GetAnnotations()[wellknown.AnnotationOrphanedTemplate] == string(uid)
}

// keepOrphaned keeps a writer from losing that the template is orphaned.
func keepOrphaned(b, old work.Binding) {
	if !isOrphaned(old) || b.GetSpec().Resource.UID != old.GetSpec().Resource.UID {
		return
	}
	annotations := maps.Clone(b.GetAnnotations()) // may be those of the stored object
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[wellknown.AnnotationOrphanedTemplate] = string(old.GetSpec().Resource.UID)
	b.SetAnnotations(annotations)
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
