// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package framework

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/expression"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Member is one member as the scheduler sees it. It is immutable; a change makes
// a new one.
type Member struct {
	// Cluster is the API object; of its status it has what policies ask about.
	Cluster *clusterv1alpha1.Cluster
	// Accepted is false for a member in Pull mode until an administrator consents
	// to it.
	Accepted bool
	// Ready says that the member answers and calls itself ready.
	Ready bool
	// Leaving says that the member is being unjoined.
	Leaving bool
	// APIs are what it serves. Members that serve the same share the value.
	APIs *APIs
	// Free is what it has room for, without what was decided upon and is not in its
	// report yet. Nil when it reported nothing yet.
	Free *capacity.Summary
	// Reported is what it has room for by its report.
	Reported *capacity.Summary
	// Observed is the version of the last binding whose Pods are in the report, as
	// far as it says.
	Observed uint64

	verdicts *expression.Verdicts // about Cluster
}

// Name of the member.
func (m *Member) Name() string { return m.Cluster.Name }

// NewMember reads a Cluster. apis shares equal sets of APIs between members.
func NewMember(from *clusterv1alpha1.Cluster, apis *APIPool) *Member {
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: *from.ObjectMeta.DeepCopy(), Spec: from.Spec}
	cluster.ManagedFields, cluster.ResourceVersion, cluster.Generation = nil, "", 0
	cluster.Status.Provider, cluster.Status.Region, cluster.Status.Zones = from.Status.Provider, from.Status.Region, from.Status.Zones
	cluster.Status.KubernetesVersion = from.Status.KubernetesVersion
	reported := capacity.Summarize(&from.Status)
	return &Member{
		Cluster:  cluster,
		Accepted: from.Spec.SyncMode != clusterv1alpha1.Pull || from.Spec.Accepted,
		Ready:    isTrue(from, clusterv1alpha1.ClusterConditionReady),
		Leaving:  !from.DeletionTimestamp.IsZero(),
		APIs:     apis.get(from),
		Free:     reported,
		Reported: reported,
		Observed: observed(from),
		verdicts: &expression.Verdicts{},
	}
}

// observed is the version of the last binding the capacity of a Cluster has seen, 0
// when it does not say. Versions of works are finer than those of what they are
// rendered from.
func observed(cluster *clusterv1alpha1.Cluster) uint64 {
	if cluster.Status.Capacity == nil {
		return 0
	}
	parsed, err := strconv.ParseUint(cluster.Status.Capacity.ObservedWorkVersion, 10, 64)
	if err != nil {
		return 0
	}
	return workv1alpha1.RevisionOfWork(parsed)
}

// Inherit takes over what is the same as before: the Cluster, if no policy could
// tell the difference, with what expressions say about it.
func (m *Member) Inherit(before *Member) {
	if equality.Semantic.DeepEqual(m.Cluster, before.Cluster) {
		m.Cluster, m.verdicts = before.Cluster, before.verdicts
	}
}

// Selected reports whether the affinity selects the member.
func (m *Member) Selected(by *affinity.Affinity) bool {
	return by.MatchesKnown(m.Cluster, m.verdicts)
}

func isTrue(cluster *clusterv1alpha1.Cluster, condition string) bool {
	for _, c := range cluster.Status.Conditions {
		if c.Type == condition {
			return c.Status == metav1.ConditionTrue
		}
	}
	return false
}

// Candidate is a member in one cycle.
type Candidate struct {
	*Member
	// Placed says that the binding lists the member for this very template.
	Placed bool
	// Replicas it has of the template.
	Replicas int32
	// Position of the member in the binding, behind all of those when it is not
	// there.
	Position int
	// Room for more replicas, beyond those it has. Only for templates that run
	// something.
	Room int32
	// Score is the weighted sum of the scores of the plugins.
	Score int64
	// AtLeast is the fewest replicas it is to get, so that as many groups are used
	// as the spread constraints ask for. The plugin that selects says so.
	AtLeast int32
}

// Pick says how many members are chosen.
type Pick string

const (
	// PickAll chooses every member the constraints allow.
	PickAll Pick = "All"
	// PickOne chooses the best.
	PickOne Pick = "One"
)

// Division says how replicas are divided among the chosen.
type Division string

const (
	// DivideNothing leaves the replicas of the template as they are on every
	// member.
	DivideNothing Division = "Nothing"
	// DivideByWeight divides by Request.Weights.
	DivideByWeight Division = "ByWeight"
	// DivideByCapacity divides by what is free and refuses when that is too
	// little.
	DivideByCapacity Division = "ByCapacity"
	// DivideByCapacityOrBeyond divides by what is free and lets the rest wait in
	// the members.
	DivideByCapacityOrBeyond Division = "ByCapacityOrBeyond"
	// DivideAggregated uses as few members as have room.
	DivideAggregated Division = "Aggregated"
)

// ByRoom reports whether the division depends on the room of members.
func (d Division) ByRoom() bool {
	return d == DivideByCapacity || d == DivideByCapacityOrBeyond || d == DivideAggregated
}

// Strategy is how one template is placed. Policies and automatic placement both
// come down to one.
type Strategy struct {
	// Within are the only members considered; nil is all.
	Within sets.Set[string]
	// Pick says how many members are chosen.
	Pick Pick
	// Division of the replicas.
	Division Division
	// Once never moves the template: where it is placed it stays.
	Once bool
	// Gang places all replicas or none.
	Gang bool
	// Keep never takes the template away from a member it is on, but for one that
	// leaves; the members chosen are added.
	Keep bool
	// Follow are the events after which more members could be chosen although
	// none was refused.
	Follow Event
}

// Request is what one cycle decides about.
type Request struct {
	// Template to place.
	Template *template.Template
	// Strategy to place it by.
	Strategy Strategy
	// Replicas to divide among the candidates.
	Replicas int32
	// Affinity narrows the members; nil narrows nothing.
	Affinity *affinity.Affinity
	// Overflow selects more members, in order, for what those of Affinity have no
	// room for.
	Overflow []*affinity.Affinity
	// Tolerations of taints of members.
	Tolerations []corev1.Toleration
	// Spread bounds the groups of members used.
	Spread []policyv1alpha1.SpreadConstraint
	// Weights for DivideByWeight; without any, members weigh the same.
	Weights []Weight
	// Demand of one replica, nil when the template runs nothing.
	Demand *capacity.Demand
	// Whole is what a member has to have room for at the same time, because it
	// cannot be divided. Nil when it does not matter.
	Whole []capacity.Load
	// ClaimedBy are the members that hold the volumes the template mounts; nil
	// when it mounts none that is placed.
	ClaimedBy sets.Set[string]
	// Together are the members of other templates that are to share the member,
	// Apart of those that are not to; nil when those are nowhere.
	Together, Apart sets.Set[string]
	// Versions are those that the fleet can bring the template to, besides its own; the
	// best first.
	Versions []string
	// Expected are the members that will serve the kind of the template once its
	// CustomResourceDefinition has reached them.
	Expected sets.Set[string]
}

// Outside is the tier of a member that no affinity of a request selects.
const Outside = -1

// Tier says by which affinity a member is selected: 0 by Affinity, 1 and up by
// one of Overflow.
func (r *Request) Tier(member *Member) int {
	if member.Selected(r.Affinity) {
		return 0
	}
	for i, overflow := range r.Overflow {
		if member.Selected(overflow) {
			return i + 1
		}
	}
	return Outside
}

// WeightOf is the highest of the weights that select the member; without any
// weights it is the same for all.
func (r *Request) WeightOf(member *Member) int64 {
	if len(r.Weights) == 0 {
		return 1
	}
	var highest int64
	for _, weight := range r.Weights {
		if member.Selected(weight.Affinity) {
			highest = max(highest, weight.Weight)
		}
	}
	return highest
}

// Divides reports whether the members share the replicas.
func (r *Request) Divides() bool {
	return r.Strategy.Division != DivideNothing && r.Template.Workload != nil && r.Template.Workload.Divisible
}

// Weight is the static weight of some members.
type Weight struct {
	// Affinity selects the members.
	Affinity *affinity.Affinity
	// Weight of each.
	Weight int64
}

// APIs is the set of kinds a member serves.
type APIs struct {
	kinds    map[schema.GroupVersionKind]struct{}
	complete bool
}

// Serves reports whether the member serves the kind in this very version.
func (a *APIs) Serves(kind schema.GroupVersionKind) bool {
	_, ok := a.kinds[kind]
	return ok
}

// Version returns the version a member gets templates of the kind in: that of the
// kind, if the member serves it, or else the first of others that it does. It returns
// false when it serves none.
func (a *APIs) Version(kind schema.GroupVersionKind, others []string) (string, bool) {
	for _, version := range append([]string{kind.Version}, others...) {
		if a.Serves(kind.GroupKind().WithVersion(version)) {
			return version, true
		}
	}
	return "", false
}

// Complete reports whether the set is all the member serves.
func (a *APIs) Complete() bool { return a.complete }

// Known reports whether the member reported anything.
func (a *APIs) Known() bool { return len(a.kinds) > 0 }
