// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package wellknown

// Domain is the suffix of every API group and the prefix of every label and
// annotation key of the project.
const Domain = "fleet.dev"

// Labels.
const (
	// LabelCluster is on every projected object and names the member it is
	// read from.
	LabelCluster = "fleet.dev/cluster"
	// LabelManagedBy is on every object a syncer wrote to a member and holds the
	// fleet id, the uid of the fleet's kube-system namespace. On Secrets and
	// namespaces inside the fleet it marks what join created.
	LabelManagedBy = "fleet.dev/managed-by"
	// LabelTemplate is stamped into Pod templates and holds the hash of that Pod
	// template; it ties members' ReplicaSets and Pods to a revision of the fleet. A bare
	// Pod gets it in its member, with its uid in the fleet.
	LabelTemplate = "fleet.dev/template"
	// LabelRevision is on ReplicaSets and ControllerRevisions by which the fleet records
	// a Pod template that a workload has, or had, and holds what LabelTemplate of the
	// Pods is. Nobody makes Pods for them, and they stay in the fleet. It is no
	// annotation: kubectl copies those to the Deployment that it rolls back.
	LabelRevision = "fleet.dev/revision"
	// LabelDeletionProtected on a template makes the API server refuse its
	// deletion while the value is DeletionProtectedAlways.
	LabelDeletionProtected = "fleet.dev/deletion-protected"
	// LabelTemplateKind is on works and bindings: the kind of the template.
	LabelTemplateKind = "fleet.dev/template-kind"
	// LabelTemplateNamespace is on works: the namespace of the template, empty
	// for a cluster-scoped one.
	LabelTemplateNamespace = "fleet.dev/template-namespace"
	// LabelTemplateName is on works and bindings: the name of the template, or a
	// hash of it when the name is no valid label value.
	LabelTemplateName = "fleet.dev/template-name"
)

// Label values.
const (
	// DeletionProtectedAlways is the value of LabelDeletionProtected that
	// refuses every deletion.
	DeletionProtectedAlways = "Always"
)

// Annotations users write on templates and namespaces.
const (
	// AnnotationPlacement on a template or its namespace picks the placement
	// when no policy says more: auto, duplicated, divided or single.
	AnnotationPlacement = "fleet.dev/placement"
	// AnnotationClusters on a template or its namespace is a label selector
	// that narrows the members it may go to.
	AnnotationClusters = "fleet.dev/clusters"
	// AnnotationUnjoinKeepObjects with the value "true" on a Cluster leaves what
	// the fleet put on the member running when the Cluster is deleted.
	AnnotationUnjoinKeepObjects = "fleet.dev/unjoin-keep-objects"
)

// Values of AnnotationPlacement.
const (
	// PlacementAuto lets the kind of the template decide.
	PlacementAuto = "auto"
	// PlacementDuplicated puts a full copy on every feasible member.
	PlacementDuplicated = "duplicated"
	// PlacementDivided splits the replicas over the feasible members.
	PlacementDivided = "divided"
	// PlacementSingle puts everything on exactly one member.
	PlacementSingle = "single"
)

// Provenance annotations a syncer writes on members' objects.
const (
	// AnnotationFleetID is the uid of the fleet's kube-system namespace.
	AnnotationFleetID = "fleet.dev/fleet-id"
	// AnnotationTemplateUID is the uid of the template the object came from.
	AnnotationTemplateUID = "fleet.dev/template-uid"
	// AnnotationBinding is the binding the object came from, namespace/name, or
	// /name for a cluster-scoped one.
	AnnotationBinding = "fleet.dev/binding"
	// AnnotationPolicy is the policy that placed the object, namespace/name, or
	// /name for a cluster-scoped one.
	AnnotationPolicy = "fleet.dev/policy"
	// AnnotationOverrides lists the override policies applied to the object,
	// comma separated, in the order applied.
	AnnotationOverrides = "fleet.dev/overrides"
	// AnnotationContentHash is the contentHash of the work the syncer applied last.
	AnnotationContentHash = "fleet.dev/content-hash"
	// AnnotationCreatedNamespace is "true" on namespaces of members that did not
	// exist before the fleet needed them; only these the fleet may delete.
	AnnotationCreatedNamespace = "fleet.dev/created-namespace"
	// AnnotationAdopted is "true" on objects of members that existed before the
	// fleet and were adopted as they were; the fleet releases these instead of
	// deleting them.
	AnnotationAdopted = "fleet.dev/adopted"
	// AnnotationUnstamped is on workloads whose Pods ran before the fleet took them
	// over, and holds the value of LabelTemplate that their Pod template lacks: to add
	// it would restart the Pods. It goes with the next change of the Pod template.
	AnnotationUnstamped = "fleet.dev/unstamped"
	// AnnotationAutoscaled is on workloads whose number of replicas an autoscaler sent
	// to the same member sets or set last, and holds the number the fleet wanted
	// beside. The replicas stay as they are until that number changes, whether or not
	// the autoscaler is there still.
	AnnotationAutoscaled = "fleet.dev/autoscaled"
	// AnnotationCreatedBy is left on objects the fleet created and then released,
	// and holds the fleet id: to that fleet they are its own when their template,
	// named by AnnotationTemplateUID, comes to the member again.
	AnnotationCreatedBy = "fleet.dev/created-by"
)

// Annotations the API server writes on bindings.
const (
	// AnnotationOrphanedTemplate holds the uid of the template whose deletion asked
	// to leave the objects of members running. Tombstones that the binding gets for
	// that template release them.
	AnnotationOrphanedTemplate = "fleet.dev/orphaned-template"
	// AnnotationForegroundTemplate holds the uid of the template that is deleted in the
	// foreground and waits for nothing but its members. When they have nothing of it
	// any more, its finalizer foregroundDeletion goes.
	AnnotationForegroundTemplate = "fleet.dev/foreground-template"
)

// Finalizers.
const (
	// FinalizerUnjoin keeps a Cluster until what the fleet put on the member
	// is released; the cluster controller owns it.
	FinalizerUnjoin = "cluster.fleet.dev/unjoin"
)

// Taints the fleet's controllers put on a Cluster.
const (
	// TaintClusterNotReady says that the member answers and calls itself not
	// ready.
	TaintClusterNotReady = "cluster.fleet.dev/not-ready"
	// TaintClusterUnreachable says that nobody has heard of the member for
	// longer than its lease lasts.
	TaintClusterUnreachable = "cluster.fleet.dev/unreachable"
	// TaintClusterTerminating says that the Cluster is being deleted.
	TaintClusterTerminating = "cluster.fleet.dev/terminating"
)

// Field managers.
const (
	// FieldManager is the one field manager of syncers in members.
	FieldManager = "fleet"
)

// Users and groups of the fleet's own components.
const (
	// UserScheduler is the user of the scheduler.
	UserScheduler = "system:fleet:scheduler"
	// UserControllerManager is the user of the controller manager.
	UserControllerManager = "system:fleet:controller-manager"
	// UserCounting is who those controllers of the controller manager are that count the
	// Pods of members as well, which it does not see otherwise.
	UserCounting = "system:fleet:counting-controllers"
	// UserAPIServer is who the API server is in members, when it shows their objects
	// in the fleet and changes them for users of the fleet.
	UserAPIServer = "system:fleet:apiserver"
	// UserSyncer is the user of the push syncer.
	UserSyncer = "system:fleet:syncer"
	// UserClusterPrefix precedes the Cluster name in the user of a pull agent.
	UserClusterPrefix = "system:fleet:cluster:"
	// GroupClusters is the group of all pull agents.
	GroupClusters = "system:fleet:clusters"
)

// Keys of the Secret that holds the credentials for a member.
const (
	// SecretKeyToken is the bearer token of the ServiceAccount in the member.
	SecretKeyToken = "token"
	// SecretKeyCABundle is the PEM bundle that verifies the member's API server.
	SecretKeyCABundle = "caBundle"
)

// Names of objects every fleet has.
const (
	// NamespaceSystem is the namespace of the fleet's own objects, in the fleet
	// and in members.
	NamespaceSystem = "fleet-system"
	// DefaultPolicyName is the ClusterPropagationPolicy of the zero-policy
	// behaviour.
	DefaultPolicyName = "fleet-default"
	// DefaultSchedulerName is the scheduler of policies that name none.
	DefaultSchedulerName = "default-scheduler"
	// Category is the resource category of every kind of the project, so that
	// "kubectl get fleet" lists them.
	Category = "fleet"
)
