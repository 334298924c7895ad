// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Placement picks members and divides replicas among them. The empty Placement
// duplicates to every member that tolerates it.
type Placement struct {
	Auto               *AutoPlacement
	ClusterAffinity    *ClusterAffinity
	ClusterAffinities  []ClusterAffinityTerm
	ClusterTolerations []corev1.Toleration
	SpreadConstraints  []SpreadConstraint
	ReplicaScheduling  *ReplicaSchedulingStrategy
	WorkloadAffinity   *WorkloadAffinity
	Gang               *GangPlacement
}

// GangPlacement places all or nothing. It has no settings.
type GangPlacement struct{}

// AutoPlacement places by kind. It has no settings.
type AutoPlacement struct{}

// ClusterAffinity restricts members. All its parts have to hold.
type ClusterAffinity struct {
	LabelSelector *metav1.LabelSelector
	FieldSelector *FieldSelector
	ClusterNames  []string
	Exclude       []string
	Expression    string
}

// FieldSelector selects members by fields of their Cluster.
type FieldSelector struct {
	MatchExpressions []corev1.NodeSelectorRequirement
}

// Keys of a FieldSelector.
const (
	// FieldSelectorProvider is Cluster.spec.provider.
	FieldSelectorProvider = "provider"
	// FieldSelectorRegion is Cluster.spec.region.
	FieldSelectorRegion = "region"
	// FieldSelectorZone is Cluster.spec.zones.
	FieldSelectorZone = "zone"
)

// ClusterAffinityTerm is one affinity of an ordered list.
type ClusterAffinityTerm struct {
	AffinityName string
	ClusterAffinity
	OverflowAffinities []ClusterAffinity
}

// SpreadFieldValue is a field of a Cluster to spread by.
type SpreadFieldValue string

const (
	// SpreadByFieldCluster spreads by member.
	SpreadByFieldCluster SpreadFieldValue = "cluster"
	// SpreadByFieldRegion spreads by Cluster.spec.region.
	SpreadByFieldRegion SpreadFieldValue = "region"
	// SpreadByFieldZone spreads by Cluster.spec.zones.
	SpreadByFieldZone SpreadFieldValue = "zone"
	// SpreadByFieldProvider spreads by Cluster.spec.provider.
	SpreadByFieldProvider SpreadFieldValue = "provider"
)

// SpreadConstraint bounds how many groups of members are used.
type SpreadConstraint struct {
	SpreadByField SpreadFieldValue
	SpreadByLabel string
	MaxGroups     int32
	MinGroups     int32
}

// ReplicaSchedulingType says whether members share the replicas.
type ReplicaSchedulingType string

const (
	// Duplicated gives every member all replicas.
	Duplicated ReplicaSchedulingType = "Duplicated"
	// Divided divides the replicas among the members.
	Divided ReplicaSchedulingType = "Divided"
)

// ReplicaDivisionPreference says how replicas are divided.
type ReplicaDivisionPreference string

const (
	// Aggregated uses as few members as have the capacity.
	Aggregated ReplicaDivisionPreference = "Aggregated"
	// Weighted divides in proportion to weights.
	Weighted ReplicaDivisionPreference = "Weighted"
)

// ReplicaSchedulingStrategy says how replicas are divided among members.
type ReplicaSchedulingStrategy struct {
	ReplicaSchedulingType     ReplicaSchedulingType
	ReplicaDivisionPreference ReplicaDivisionPreference
	WeightPreference          *ClusterPreferences
}

// DynamicWeightFactor is a quantity that weights follow.
type DynamicWeightFactor string

const (
	// DynamicWeightByAvailableReplicas weighs a member by the number of replicas
	// it still has room for.
	DynamicWeightByAvailableReplicas DynamicWeightFactor = "AvailableReplicas"
)

// ClusterPreferences weigh members. At least one of its fields is set.
type ClusterPreferences struct {
	StaticWeightList []StaticClusterWeight
	DynamicWeight    DynamicWeightFactor
}

// StaticClusterWeight weighs some members.
type StaticClusterWeight struct {
	TargetCluster ClusterAffinity
	Weight        int64
}

// WorkloadAffinity places templates relative to each other.
type WorkloadAffinity struct {
	Affinity     *WorkloadAffinityTerm
	AntiAffinity *WorkloadAffinityTerm
}

// WorkloadAffinityTerm says which templates form a group.
type WorkloadAffinityTerm struct {
	GroupByLabelKey string
}
