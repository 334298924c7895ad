// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Placement picks members and divides replicas among them. The empty Placement
// duplicates to every member that tolerates it.
type Placement struct {
	// auto places by kind, as if there was no policy at all: Deployments are
	// divided by free capacity, DaemonSets go everywhere, Jobs go to one member,
	// configuration goes where its namespace has workloads. Excludes
	// replicaScheduling and spreadConstraints; affinities and tolerations narrow
	// the members it may pick.
	// +optional
	Auto *AutoPlacement `json:"auto,omitempty"`

	// clusterAffinity restricts the members. Excludes clusterAffinities. Neither
	// means any member.
	// +optional
	ClusterAffinity *ClusterAffinity `json:"clusterAffinity,omitempty"`

	// clusterAffinities restrict the members, in order of preference: the first
	// that can take the template does. Excludes clusterAffinity.
	// +optional
	// +listType=map
	// +listMapKey=affinityName
	ClusterAffinities []ClusterAffinityTerm `json:"clusterAffinities,omitempty"`

	// clusterTolerations tolerate taints of members.
	// +optional
	// +listType=atomic
	ClusterTolerations []corev1.Toleration `json:"clusterTolerations,omitempty"`

	// spreadConstraints bound how many members, regions, zones or providers are
	// used. Each field or label once; when any is given, the field cluster has
	// to be among those that name a field.
	// +optional
	// +listType=atomic
	SpreadConstraints []SpreadConstraint `json:"spreadConstraints,omitempty"`

	// replicaScheduling says how replicas are divided. Nil means Duplicated.
	// Kinds without replicas are always duplicated.
	// +optional
	ReplicaScheduling *ReplicaSchedulingStrategy `json:"replicaScheduling,omitempty"`

	// workloadAffinity places templates together with, or apart from, others.
	// +optional
	WorkloadAffinity *WorkloadAffinity `json:"workloadAffinity,omitempty"`

	// gang places all Pods of a workload or none: it goes to members only when all
	// its replicas have room there at the same time, and waits in the fleet until
	// then. Of replicas that are added later, all are placed or none. Kinds without
	// replicas are not concerned.
	// +optional
	Gang *GangPlacement `json:"gang,omitempty"`
}

// GangPlacement places all or nothing. It has no settings.
type GangPlacement struct{}

// AutoPlacement places by kind. It has no settings.
type AutoPlacement struct{}

// ClusterAffinity restricts members. All its parts have to hold.
type ClusterAffinity struct {
	// labelSelector selects members by the labels of their Cluster.
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// fieldSelector selects members by provider, region and zone.
	// +optional
	FieldSelector *FieldSelector `json:"fieldSelector,omitempty"`
	// clusterNames selects members by name. Empty selects all.
	// +optional
	// +listType=set
	ClusterNames []string `json:"clusterNames,omitempty"`
	// exclude leaves members out by name.
	// +optional
	// +listType=set
	Exclude []string `json:"exclude,omitempty"`
	// expression selects members in CEL; it returns a boolean. Variable: cluster
	// (of the Cluster object metadata.name, labels and annotations, spec.syncMode,
	// provider, region, zones and taints, where provider, region and zones are the
	// observed ones if nobody said any, and status.kubernetesVersion). A member for
	// which it fails is not selected. At most 10240 bytes.
	// +optional
	Expression string `json:"expression,omitempty"`
}

// FieldSelector selects members by fields of their Cluster.
type FieldSelector struct {
	// matchExpressions have all to hold. Keys are provider, region and zone,
	// operators In and NotIn. A member with several zones is in when every one of
	// them is In, and out when any is NotIn.
	// +optional
	// +listType=atomic
	MatchExpressions []corev1.NodeSelectorRequirement `json:"matchExpressions,omitempty"`
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
	// affinityName names the term; the binding records the one in use. At most
	// 63 letters, digits, dashes, dots and underscores; unique in the list.
	AffinityName string `json:"affinityName"`

	ClusterAffinity `json:",inline"`

	// overflowAffinities add members, in this order, when those of the term have
	// not enough capacity. Only with replicas divided by capacity.
	// +optional
	// +listType=atomic
	OverflowAffinities []ClusterAffinity `json:"overflowAffinities,omitempty"`
}

// SpreadFieldValue is a field of a Cluster to spread by.
// +enum
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
	// spreadByField groups members by a field: cluster, region, zone or
	// provider. Excludes spreadByLabel. Defaults to cluster when spreadByLabel is
	// empty.
	// +optional
	SpreadByField SpreadFieldValue `json:"spreadByField,omitempty"`
	// spreadByLabel groups members by the value of a label of their Cluster.
	// Excludes spreadByField.
	// +optional
	SpreadByLabel string `json:"spreadByLabel,omitempty"`
	// maxGroups is the most groups used. Not less than minGroups; 0 means no
	// limit. Defaults to 0.
	// +optional
	MaxGroups int32 `json:"maxGroups,omitempty"`
	// minGroups is the fewest groups used; when there are fewer, nothing is
	// placed. At least 1. Defaults to 1.
	// +optional
	// +default=1
	MinGroups int32 `json:"minGroups,omitempty"`
}

// ReplicaSchedulingType says whether members share the replicas.
// +enum
type ReplicaSchedulingType string

const (
	// Duplicated gives every member all replicas.
	Duplicated ReplicaSchedulingType = "Duplicated"
	// Divided divides the replicas among the members.
	Divided ReplicaSchedulingType = "Divided"
)

// ReplicaDivisionPreference says how replicas are divided.
// +enum
type ReplicaDivisionPreference string

const (
	// Aggregated uses as few members as have the capacity.
	Aggregated ReplicaDivisionPreference = "Aggregated"
	// Weighted divides in proportion to weights.
	Weighted ReplicaDivisionPreference = "Weighted"
)

// ReplicaSchedulingStrategy says how replicas are divided among members.
type ReplicaSchedulingStrategy struct {
	// replicaSchedulingType is Duplicated (every member gets all replicas) or
	// Divided (members share them). Defaults to Divided.
	// +optional
	// +default="Divided"
	ReplicaSchedulingType ReplicaSchedulingType `json:"replicaSchedulingType,omitempty"`
	// replicaDivisionPreference says how Divided divides: Aggregated (as few
	// members as have the capacity) or Weighted (by weightPreference). Ignored
	// with Duplicated. Defaults to Weighted with Divided.
	// +optional
	ReplicaDivisionPreference ReplicaDivisionPreference `json:"replicaDivisionPreference,omitempty"`
	// weightPreference gives the weights for Weighted. Without it every member
	// weighs the same. Ignored with Aggregated and Duplicated.
	// +optional
	WeightPreference *ClusterPreferences `json:"weightPreference,omitempty"`
}

// DynamicWeightFactor is a quantity that weights follow.
// +enum
type DynamicWeightFactor string

const (
	// DynamicWeightByAvailableReplicas weighs a member by the number of replicas
	// it still has room for.
	DynamicWeightByAvailableReplicas DynamicWeightFactor = "AvailableReplicas"
)

// ClusterPreferences weigh members. At least one of its fields is set.
type ClusterPreferences struct {
	// staticWeightList gives fixed weights. A member matched by several entries
	// takes the highest weight; one matched by none gets no replicas. Ignored
	// when dynamicWeight is set. No two entries with the same targetCluster.
	// +optional
	// +listType=atomic
	StaticWeightList []StaticClusterWeight `json:"staticWeightList,omitempty"`
	// dynamicWeight makes weights follow a quantity: AvailableReplicas.
	// +optional
	DynamicWeight DynamicWeightFactor `json:"dynamicWeight,omitempty"`
}

// StaticClusterWeight weighs some members.
type StaticClusterWeight struct {
	// targetCluster selects the members.
	TargetCluster ClusterAffinity `json:"targetCluster"`
	// weight of each of them. At least 1.
	Weight int64 `json:"weight"`
}

// WorkloadAffinity places templates relative to each other.
type WorkloadAffinity struct {
	// affinity places templates of a group on the same members.
	// +optional
	Affinity *WorkloadAffinityTerm `json:"affinity,omitempty"`
	// antiAffinity keeps templates of a group on different members.
	// +optional
	AntiAffinity *WorkloadAffinityTerm `json:"antiAffinity,omitempty"`
}

// WorkloadAffinityTerm says which templates form a group.
type WorkloadAffinityTerm struct {
	// groupByLabelKey is a label key; templates of one namespace with the same
	// value of that label form a group. A template without the label is in none.
	GroupByLabelKey string `json:"groupByLabelKey"`
}
