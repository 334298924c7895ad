// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package framework

import (
	"k8s.io/apimachinery/pkg/api/equality"

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
)

// AnyEvent is the set of all events.
const AnyEvent = ^Event(0)

// Has reports whether the sets share an event.
func (e Event) Has(other Event) bool { return e&other != 0 }

// Changes returns what happened to a member; nil stands for one that is not
// there.
func Changes(before, after *Member) Event {
	switch {
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
		events |= MemberLabels
	}
	if !equality.Semantic.DeepEqual(before.Cluster.Spec.Taints, after.Cluster.Spec.Taints) {
		events |= MemberTaints
	}
	if before.APIs != after.APIs {
		events |= MemberAPIs
	}
	if before.Free.Less(after.Free) {
		events |= MemberCapacity
	}
	return events
}

func sameLabels(before, after *Member) bool {
	b, a := before.Cluster, after.Cluster
	return equality.Semantic.DeepEqual(b.Labels, a.Labels) && equality.Semantic.DeepEqual(b.Annotations, a.Annotations) &&
		place.Of(b).Equal(place.Of(a)) && b.Spec.SyncMode == a.Spec.SyncMode && b.Status.KubernetesVersion == a.Status.KubernetesVersion
}
