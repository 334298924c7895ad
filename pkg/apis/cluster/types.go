// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Cluster is one member of the fleet: a real Kubernetes cluster that runs what
// the fleet decides. Its namespace fleet-cluster-<name> holds its lease, its
// credentials and the works served for it.
type Cluster struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   ClusterSpec
	Status ClusterStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterList is a list of Clusters.
type ClusterList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Cluster
}

// ClusterSyncMode says who opens the connection between fleet and member.
type ClusterSyncMode string

const (
	// Push means that a syncer beside the fleet connects to the member.
	Push ClusterSyncMode = "Push"
	// Pull means that an agent inside the member connects to the fleet; nothing
	// has to reach the member from outside.
	Pull ClusterSyncMode = "Pull"
)

// ClusterSpec says how to reach a member and what it is.
type ClusterSpec struct {
	ID                          string
	SyncMode                    ClusterSyncMode
	APIEndpoint                 string
	SecretRef                   *LocalSecretReference
	ImpersonatorSecretRef       *LocalSecretReference
	InsecureSkipTLSVerification bool
	ProxyURL                    string
	ProxyHeader                 map[string]string
	Provider                    string
	Region                      string
	Zone                        string
	Zones                       []string
	Taints                      []corev1.Taint
	ResourceModels              []ResourceModel
	Accepted                    bool
}

// LocalSecretReference names a Secret in the fleet.
type LocalSecretReference struct {
	Namespace string
	Name      string
}

// ResourceModel is one size class of nodes.
type ResourceModel struct {
	Grade  int32
	Ranges []ResourceModelRange
}

// ResourceModelRange is the half-open range [min, max) of one resource.
type ResourceModelRange struct {
	Name corev1.ResourceName
	Min  resource.Quantity
	Max  resource.Quantity
}

// Types of conditions of a Cluster.
const (
	// ClusterConditionReady is True while the member's API server answers and
	// calls itself ready.
	ClusterConditionReady = "Ready"
	// ClusterConditionCompleteAPIEnablements is True when apiEnablements lists
	// everything the member serves, False when part of its discovery failed.
	ClusterConditionCompleteAPIEnablements = "CompleteAPIEnablements"
	// ClusterConditionAccepted is True once an administrator accepted the member.
	ClusterConditionAccepted = "Accepted"
	// ClusterConditionUnjoining is True from the deletion of the Cluster until
	// it is gone; the message says what is waited for.
	ClusterConditionUnjoining = "Unjoining"
	// ClusterConditionUnknownObjects is True while the member has objects with the
	// mark of the fleet that no template stands for, because the fleet was restored
	// from an older state, say. They are left running. There is no such condition
	// otherwise.
	ClusterConditionUnknownObjects = "UnknownObjects"
)

// Reasons of the conditions of a Cluster.
const (
	// ClusterReasonObjectsWithoutTemplate is the reason of UnknownObjects=True.
	ClusterReasonObjectsWithoutTemplate = "ObjectsWithoutTemplate"
	// ClusterReasonReady is the reason of Ready=True.
	ClusterReasonReady = "ClusterReady"
	// ClusterReasonNotReady says that the member answers but is not ready.
	ClusterReasonNotReady = "ClusterNotReady"
	// ClusterReasonNotReachable says that the member does not answer.
	ClusterReasonNotReachable = "ClusterNotReachable"
	// ClusterReasonStatusUnknown says that the member's lease ran out: nobody
	// has reported on it.
	ClusterReasonStatusUnknown = "ClusterStatusUnknown"
	// ClusterReasonCredentialsInvalid says that the credentials are missing,
	// malformed or refused by the member.
	ClusterReasonCredentialsInvalid = "CredentialsInvalid"
	// ClusterReasonIdentityMismatch says that the cluster behind apiEndpoint is
	// not the one with spec.id.
	ClusterReasonIdentityMismatch = "IdentityMismatch"
	// ClusterReasonCompleteDiscovery is the reason of
	// CompleteAPIEnablements=True.
	ClusterReasonCompleteDiscovery = "DiscoveryComplete"
	// ClusterReasonPartialDiscovery is the reason of
	// CompleteAPIEnablements=False.
	ClusterReasonPartialDiscovery = "DiscoveryPartial"
	// ClusterReasonReleasingObjects says that the member has not confirmed yet
	// that all its objects are deleted or released.
	ClusterReasonReleasingObjects = "ReleasingObjects"
	// ClusterReasonRemovingNamespace says that the member's namespace in the
	// fleet is not gone yet.
	ClusterReasonRemovingNamespace = "RemovingNamespace"
)

// ClusterStatus is what the syncer of a member last saw.
type ClusterStatus struct {
	KubernetesVersion string
	APIEnablements    []APIEnablement
	Conditions        []metav1.Condition
	NodeSummary       *NodeSummary
	ResourceSummary   *ResourceSummary
	Capacity          *ClusterCapacity
	Provider          string
	Region            string
	Zones             []string
	Agent             *ClusterAgent
}

// APIEnablement lists the resources of one API version a member serves.
type APIEnablement struct {
	GroupVersion string
	Resources    []APIResource
}

// APIResource is one resource a member serves.
type APIResource struct {
	Name string
	Kind string
}

// NodeSummary counts the nodes of a member.
type NodeSummary struct {
	TotalNum int32
	ReadyNum int32
}

// ResourceSummary adds up the resources of a member.
type ResourceSummary struct {
	Allocatable          corev1.ResourceList
	Allocating           corev1.ResourceList
	Allocated            corev1.ResourceList
	AllocatableModelings []AllocatableModeling
}

// AllocatableModeling counts the nodes of one grade.
type AllocatableModeling struct {
	Grade int32
	Count int32
}

// ClusterCapacity is the free capacity of a member, node by node but without
// naming nodes: nodes that a Pod cannot tell apart form a class, and within a
// class nodes with the same free resources form one entry. How many replicas
// fit is therefore exact as far as requests go.
type ClusterCapacity struct {
	Classes             []CapacityClass
	Quotas              []NamespaceQuota
	ObservedWorkVersion string
}

// NamespaceQuota is what a ResourceQuota of a member leaves to Pods.
type NamespaceQuota struct {
	Namespace     string
	Name          string
	Scopes        []corev1.ResourceQuotaScope
	ScopeSelector *corev1.ScopeSelector
	Remaining     corev1.ResourceList
}

// CapacityClass is a set of nodes with the same labels and taints, as far as
// Pods select by them.
type CapacityClass struct {
	Name   string
	Labels map[string]string
	Taints []corev1.Taint
	Nodes  int32
	Free   []FreeCapacity
}

// FreeCapacity is a number of nodes with the same resources left.
type FreeCapacity struct {
	Count     int32
	Resources corev1.ResourceList
	HostPorts []HostPort
}

// HostPort is a port of a node that a Pod holds.
type HostPort struct {
	Port     int32
	Protocol corev1.Protocol
	HostIP   string
}

// ClusterAgent describes the syncer that serves a member.
type ClusterAgent struct {
	Version  string
	LastSeen *metav1.Time
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterProxyOptions are the query options of a request that is proxied to a
// member.
type ClusterProxyOptions struct {
	metav1.TypeMeta

	Path string
}
