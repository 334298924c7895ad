// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Cluster is one member of the fleet: a real Kubernetes cluster that runs what
// the fleet decides. Its namespace fleet-cluster-<name> holds its lease, its
// credentials and the works served for it.
type Cluster struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata. The name is a DNS-1123 label of
	// at most 49 characters, so that fleet-cluster-<name> is a namespace name.
	// More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how to reach the member and what it is.
	Spec ClusterSpec `json:"spec"`
	// status is what the member's syncer last saw.
	// +optional
	Status ClusterStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterList is a list of Clusters.
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the Clusters.
	Items []Cluster `json:"items"`
}

// ClusterSyncMode says who opens the connection between fleet and member.
// +enum
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
	// id is the identity of the member, the uid of its kube-system namespace. It
	// keeps one member from being joined twice. It is set at join and immutable
	// afterwards. At most 128 characters.
	// +optional
	ID string `json:"id,omitempty"`

	// syncMode says who opens the connection: Push (a syncer beside the fleet
	// connects to the member) or Pull (an agent in the member connects to the
	// fleet). Required.
	SyncMode ClusterSyncMode `json:"syncMode"`

	// apiEndpoint is the URL of the member's API server, https://host:port. It is
	// required for members in Push mode to become ready.
	// +optional
	APIEndpoint string `json:"apiEndpoint,omitempty"`

	// secretRef names the Secret in the fleet with the credentials for the
	// member, under the keys token and caBundle.
	// +optional
	SecretRef *LocalSecretReference `json:"secretRef,omitempty"`

	// impersonatorSecretRef names the Secret in the fleet with a token that may
	// impersonate users in the member; requests proxied to the member use it.
	// +optional
	ImpersonatorSecretRef *LocalSecretReference `json:"impersonatorSecretRef,omitempty"`

	// insecureSkipTLSVerification accepts any certificate of the member's API
	// server. Use it in tests only. Defaults to false.
	// +optional
	InsecureSkipTLSVerification bool `json:"insecureSkipTLSVerification,omitempty"`

	// proxyURL is the proxy between the fleet and the member's API server, with
	// scheme http, https or socks5. Empty means a direct connection.
	// +optional
	ProxyURL string `json:"proxyURL,omitempty"`

	// proxyHeader are the HTTP headers sent to the proxy of proxyURL when it is
	// asked to connect. Several values of one header are separated by commas.
	// +optional
	ProxyHeader map[string]string `json:"proxyHeader,omitempty"`

	// provider is the cloud or data centre operator of the member. Policies
	// select and spread by it. When empty, status.provider counts.
	// +optional
	Provider string `json:"provider,omitempty"`

	// region is the region of the member. Policies select and spread by it. When
	// empty, status.region counts.
	// +optional
	Region string `json:"region,omitempty"`

	// zone is the zone of the member.
	//
	// Deprecated: use zones. When zones is empty the server copies this value
	// there.
	// +optional
	Zone string `json:"zone,omitempty"`

	// zones are the zones the nodes of the member are in. Policies select and
	// spread by them. No duplicates. When empty, status.zones count.
	// +optional
	// +listType=set
	Zones []string `json:"zones,omitempty"`

	// taints keep templates without a matching toleration away from the member.
	// timeAdded is set by the server for the effect NoExecute.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +listMapKey=effect
	Taints []corev1.Taint `json:"taints,omitempty"`

	// resourceModels group the nodes of the member by size. Grades start at 0 and
	// rise by one; the ranges of one resource follow each other without gap or
	// overlap over the grades. The syncer counts nodes per grade in
	// status.resourceSummary.allocatableModelings.
	// +optional
	// +listType=map
	// +listMapKey=grade
	ResourceModels []ResourceModel `json:"resourceModels,omitempty"`

	// accepted is the consent of an administrator to a member that joined by
	// itself in Pull mode; until then its agent is served nothing. It has no
	// meaning in Push mode. Defaults to false.
	// +optional
	Accepted bool `json:"accepted,omitempty"`
}

// LocalSecretReference names a Secret in the fleet.
type LocalSecretReference struct {
	// namespace of the Secret.
	Namespace string `json:"namespace"`
	// name of the Secret.
	Name string `json:"name"`
}

// ResourceModel is one size class of nodes.
type ResourceModel struct {
	// grade is the position of the class, counted from 0.
	Grade int32 `json:"grade"`
	// ranges say what a node of this class has of each resource. At least one.
	// +listType=map
	// +listMapKey=name
	Ranges []ResourceModelRange `json:"ranges"`
}

// ResourceModelRange is the half-open range [min, max) of one resource.
type ResourceModelRange struct {
	// name of the resource, for example cpu.
	Name corev1.ResourceName `json:"name"`
	// min is the least amount, included. Not negative.
	Min resource.Quantity `json:"min"`
	// max is the upper bound, excluded; the last grade takes everything above
	// min, whatever max says. Greater than min.
	Max resource.Quantity `json:"max"`
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
	// kubernetesVersion is the version of the member's API server, for example
	// v1.36.3.
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`

	// apiEnablements lists the APIs the member serves.
	// +optional
	// +listType=map
	// +listMapKey=groupVersion
	APIEnablements []APIEnablement `json:"apiEnablements,omitempty"`

	// conditions of the member, among them Ready and CompleteAPIEnablements.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// nodeSummary counts the nodes of the member.
	// +optional
	NodeSummary *NodeSummary `json:"nodeSummary,omitempty"`

	// resourceSummary adds up the resources of the member.
	// +optional
	ResourceSummary *ResourceSummary `json:"resourceSummary,omitempty"`

	// capacity is what is still free in the member, in the form the scheduler
	// divides replicas by.
	// +optional
	Capacity *ClusterCapacity `json:"capacity,omitempty"`

	// provider is what the nodes of the member say about their cloud: the scheme
	// of their providerID, for example aws. Where nodes differ it is that of most.
	// It counts where spec.provider is empty.
	// +optional
	Provider string `json:"provider,omitempty"`

	// region is the region the nodes of the member are in, by their label
	// topology.kubernetes.io/region. Where nodes differ it is that of most. It
	// counts where spec.region is empty.
	// +optional
	Region string `json:"region,omitempty"`

	// zones are the zones the nodes of the member are in, by their label
	// topology.kubernetes.io/zone, sorted. They count where spec.zones is empty.
	// +optional
	// +listType=set
	Zones []string `json:"zones,omitempty"`

	// agent describes the syncer that serves the member.
	// +optional
	Agent *ClusterAgent `json:"agent,omitempty"`
}

// APIEnablement lists the resources of one API version a member serves.
type APIEnablement struct {
	// groupVersion is the API group and version, for example apps/v1, or v1.
	GroupVersion string `json:"groupVersion"`
	// resources of the version.
	// +optional
	// +listType=map
	// +listMapKey=name
	Resources []APIResource `json:"resources,omitempty"`
}

// APIResource is one resource a member serves.
type APIResource struct {
	// name is the plural name of the resource, for example deployments.
	Name string `json:"name"`
	// kind of the resource, for example Deployment.
	Kind string `json:"kind"`
}

// NodeSummary counts the nodes of a member.
type NodeSummary struct {
	// totalNum is the number of nodes.
	// +optional
	TotalNum int32 `json:"totalNum,omitempty"`
	// readyNum is the number of nodes that are ready.
	// +optional
	ReadyNum int32 `json:"readyNum,omitempty"`
}

// ResourceSummary adds up the resources of a member.
type ResourceSummary struct {
	// allocatable is what the ready, schedulable nodes offer to Pods.
	// +optional
	Allocatable corev1.ResourceList `json:"allocatable,omitempty"`
	// allocating is what Pods request that have no node yet.
	// +optional
	Allocating corev1.ResourceList `json:"allocating,omitempty"`
	// allocated is what Pods request that have a node.
	// +optional
	Allocated corev1.ResourceList `json:"allocated,omitempty"`
	// allocatableModelings counts nodes per grade of spec.resourceModels.
	// +optional
	// +listType=map
	// +listMapKey=grade
	AllocatableModelings []AllocatableModeling `json:"allocatableModelings,omitempty"`
}

// AllocatableModeling counts the nodes of one grade.
type AllocatableModeling struct {
	// grade of spec.resourceModels.
	Grade int32 `json:"grade"`
	// count of nodes whose free resources are in the ranges of the grade.
	Count int32 `json:"count"`
}

// ClusterCapacity is the free capacity of a member, node by node but without
// naming nodes: nodes that a Pod cannot tell apart form a class, and within a
// class nodes with the same free resources form one entry. How many replicas
// fit is therefore exact as far as requests go.
type ClusterCapacity struct {
	// classes of nodes.
	// +optional
	// +listType=map
	// +listMapKey=name
	Classes []CapacityClass `json:"classes,omitempty"`

	// quotas are what the ResourceQuotas of the member leave to Pods of their
	// namespaces. At most 1000, the first by namespace and name.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	Quotas []NamespaceQuota `json:"quotas,omitempty"`

	// observedWorkVersion is the resourceVersion of a work that was carried to the
	// member long enough ago that its Pods are counted here, as are those of all
	// works before it. It is refreshed with other changes, not on its own.
	// +optional
	ObservedWorkVersion string `json:"observedWorkVersion,omitempty"`
}

// NamespaceQuota is what a ResourceQuota of a member leaves to Pods.
type NamespaceQuota struct {
	// namespace of the ResourceQuota.
	Namespace string `json:"namespace"`
	// name of the ResourceQuota.
	Name string `json:"name"`
	// scopes are those of the ResourceQuota.
	// +optional
	// +listType=atomic
	Scopes []corev1.ResourceQuotaScope `json:"scopes,omitempty"`
	// scopeSelector is that of the ResourceQuota.
	// +optional
	ScopeSelector *corev1.ScopeSelector `json:"scopeSelector,omitempty"`
	// remaining is what Pods may still take: hard less used, not negative, of what
	// is counted for Pods.
	// +optional
	Remaining corev1.ResourceList `json:"remaining,omitempty"`
}

// CapacityClass is a set of nodes with the same labels and taints, as far as
// Pods select by them.
type CapacityClass struct {
	// name tells classes of one member apart; it is a hash of labels and taints.
	Name string `json:"name"`
	// labels every node of the class has. Labels that are unique to one node
	// (the host name) are left out.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// taints every node of the class has.
	// +optional
	// +listType=atomic
	Taints []corev1.Taint `json:"taints,omitempty"`
	// nodes is the number of nodes in the class. Those that take no Pods for now
	// (not ready or cordoned) count, and are not in free.
	Nodes int32 `json:"nodes"`
	// free lists what is left on the nodes of the class.
	// +optional
	// +listType=atomic
	Free []FreeCapacity `json:"free,omitempty"`
}

// FreeCapacity is a number of nodes with the same resources left.
type FreeCapacity struct {
	// count of nodes.
	Count int32 `json:"count"`
	// resources left on each of the nodes: allocatable less what Pods request,
	// rounded down, pods included.
	Resources corev1.ResourceList `json:"resources"`
	// hostPorts are the ports of each of the nodes that Pods hold.
	// +optional
	// +listType=atomic
	HostPorts []HostPort `json:"hostPorts,omitempty"`
}

// HostPort is a port of a node that a Pod holds.
type HostPort struct {
	// port number.
	Port int32 `json:"port"`
	// protocol of the port: TCP, UDP or SCTP.
	Protocol corev1.Protocol `json:"protocol"`
	// hostIP is the address it is held on. Empty means all.
	// +optional
	HostIP string `json:"hostIP,omitempty"`
}

// ClusterAgent describes the syncer that serves a member.
type ClusterAgent struct {
	// version of the syncer.
	// +optional
	Version string `json:"version,omitempty"`
	// lastSeen is when the syncer last wrote this status. It is refreshed with
	// other changes, not on its own; liveness is the lease
	// fleet-cluster-<name>/<name>.
	// +optional
	LastSeen *metav1.Time `json:"lastSeen,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterProxyOptions are the query options of a request that is proxied to a
// member.
type ClusterProxyOptions struct {
	metav1.TypeMeta `json:",inline"`

	// path is the path to ask the member's API server for; it is what follows
	// proxy in the URL, for example /api/v1/pods.
	// +optional
	Path string `json:"path,omitempty"`
}
