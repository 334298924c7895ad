// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package framework

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/cluster/place"
)

// Event is a set of things that happen to members and may change a decision.
type Event uint32

const (
	// MemberAdded is a member that joined.
	MemberAdded Event = 1 << iota
	// MemberReady is a member that became ready.
	MemberReady
	// MemberLabels is a change of what policies ask about: labels, annotations,
	// provider, region, zones or version.
	MemberLabels
	// MemberAccepted is a member that an administrator accepted.
	MemberAccepted
	// MemberTaints is a change of taints.
	MemberTaints
	// MemberAPIs is a change of the APIs a member serves, or will once a
	// CustomResourceDefinition has reached it.
	MemberAPIs
	// MemberCapacity is a member with more room than before.
	MemberCapacity
	// MemberLeaving is a member that is being unjoined, or is gone.
	MemberLeaving
	// ClaimPlaced is a PersistentVolumeClaim that was placed or released.
	ClaimPlaced
	// GroupMoved is a template that others are placed with, or apart from, on other
	// members than before.
	GroupMoved
	// OverrideAdded is an override policy that a propagation policy may wait for.
	OverrideAdded
	// PriorityClassAdded is a PriorityClass that a template may wait for.
	PriorityClassAdded
	// MemberSelection is a change of MemberLabels by which a placement selects the
	// member, weighs it or groups it otherwise than before.
	MemberSelection
)

// AnyEvent is the set of all events.
const AnyEvent = ^Event(0)

// Has reports whether the sets share an event.
func (e Event) Has(other Event) bool { return e&other != 0 }

// Change is what happened to one member.
type Change struct {
	// Before and After are the member; nil when it was not there, or is not any
	// more.
	Before, After *Member
	// Events that this is.
	Events Event

	gained map[schema.GroupKind]struct{}
}

// NewChange compares a member with what it was.
func NewChange(before, after *Member) Change {
	change := Change{Before: before, After: after, Events: changes(before, after)}
	if change.Events.Has(MemberAPIs) {
		change.gained = gained(before, after)
	}
	return change
}

// Gained reports whether the member serves versions of the kind that it did not
// serve before.
func (c Change) Gained(kind schema.GroupKind) bool {
	_, ok := c.gained[kind]
	return ok
}

func gained(before, after *Member) map[schema.GroupKind]struct{} {
	out := map[schema.GroupKind]struct{}{}
	for kind := range after.APIs.kinds {
		if !before.APIs.Serves(kind) {
			out[kind.GroupKind()] = struct{}{}
		}
	}
	return out
}

func changes(before, after *Member) Event {
	switch {
	case before == nil && after == nil:
		return 0
	case after == nil:
		return MemberLeaving
	case before == nil:
		return MemberAdded
	}
	var events Event
	if after.Leaving && !before.Leaving {
		events |= MemberLeaving
	}
	if after.Ready && !before.Ready {
		events |= MemberReady
	}
	if after.Accepted && !before.Accepted {
		events |= MemberAccepted
	}
	if !sameLabels(before, after) {
		events |= MemberLabels | MemberSelection
	}
	if !equality.Semantic.DeepEqual(before.Cluster.Spec.Taints, after.Cluster.Spec.Taints) {
		// An expression of an affinity may ask about taints.
		events |= MemberTaints | MemberSelection
	}
	if before.APIs != after.APIs {
		events |= MemberAPIs
	}
	if before.Reported.Less(after.Reported) {
		events |= MemberCapacity
	}
	return events
}

func sameLabels(before, after *Member) bool {
	b, a := before.Cluster, after.Cluster
	return equality.Semantic.DeepEqual(b.Labels, a.Labels) && equality.Semantic.DeepEqual(b.Annotations, a.Annotations) &&
		place.Of(b).Equal(place.Of(a)) && b.Spec.SyncMode == a.Spec.SyncMode && b.Status.KubernetesVersion == a.Status.KubernetesVersion
}
