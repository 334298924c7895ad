// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// groupsThatStay are API groups about the API server, its users or its own
// cluster. The fleet's own groups stay as well.
var groupsThatStay = sets.New(
	"apiregistration.k8s.io",
	"authentication.k8s.io",
	"authorization.k8s.io",
	"certificates.k8s.io",
	"coordination.k8s.io",
	"events.k8s.io",
	"flowcontrol.apiserver.k8s.io",
	"internal.apiserver.k8s.io",
	"storagemigration.k8s.io",
)

// kindsThatStay are kinds of other groups that a cluster makes for itself.
var kindsThatStay = sets.New(
	schema.GroupKind{Kind: "Binding"},
	schema.GroupKind{Kind: "ComponentStatus"},
	schema.GroupKind{Kind: "Event"},
	schema.GroupKind{Kind: "Node"},
	schema.GroupKind{Group: "apps", Kind: "ControllerRevision"},
	schema.GroupKind{Group: "networking.k8s.io", Kind: "IPAddress"},
	schema.GroupKind{Group: "networking.k8s.io", Kind: "ServiceCIDR"},
	schema.GroupKind{Group: "resource.k8s.io", Kind: "ResourceSlice"},
	schema.GroupKind{Group: "resource.k8s.io", Kind: "DeviceTaintRule"},
	schema.GroupKind{Group: "storage.k8s.io", Kind: "CSINode"},
	schema.GroupKind{Group: "storage.k8s.io", Kind: "CSIStorageCapacity"},
	schema.GroupKind{Group: "storage.k8s.io", Kind: "VolumeAttachment"},
)

// KindStays reports whether no object of the kind is ever carried to members, so
// that there is no need to watch it.
func KindStays(kind schema.GroupKind) bool {
	return isFleetGroup(kind.Group) || groupsThatStay.Has(kind.Group) || kindsThatStay.Has(kind)
}

func isFleetGroup(group string) bool {
	return group == wellknown.Domain || strings.HasSuffix(group, "."+wellknown.Domain)
}

// SelectorsFor returns the selectors to list and watch the kind with: what may not
// travel does not even reach the scheduler. Projected objects are never templates,
// and neither are records of revisions; of Secrets, the types are out that a cluster
// makes for itself.
func SelectorsFor(kind schema.GroupKind) metav1.ListOptions {
	selectors := metav1.ListOptions{LabelSelector: "!" + wellknown.LabelCluster}
	if kind == (schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}) {
		selectors.LabelSelector += ",!" + wellknown.LabelRevision
	}
	if kind == (schema.GroupKind{Kind: "Secret"}) {
		selectors.FieldSelector = "type!=helm.sh/release.v1" +
			",type!=" + string(corev1.SecretTypeServiceAccountToken) +
			",type!=" + string(corev1.SecretTypeBootstrapToken)
	}
	return selectors
}

// rule says which objects of a kind stay in the fleet, and why.
type rule struct {
	kind  schema.GroupKind // the zero value is every kind
	why   string
	stays func(meta metav1.Object) bool
}

var rules = []rule{
	{why: "it is projected from a member", stays: hasLabel(wellknown.LabelCluster)},
	{why: "its namespace belongs to the control plane", stays: func(meta metav1.Object) bool {
		return isControlPlaneNamespace(meta.GetNamespace())
	}},
	{why: "a workload controller made it", stays: controlledByWorkload},
	{
		kind: schema.GroupKind{Kind: "Namespace"},
		why:  "its namespace belongs to the control plane",
		stays: func(meta metav1.Object) bool {
			return isControlPlaneNamespace(meta.GetName())
		},
	},
	{
		kind:  schema.GroupKind{Kind: "Namespace"},
		why:   "every member has the default namespace",
		stays: isPlainDefaultNamespace,
	},
	{
		// Also after an orphaning deletion took its owner away.
		kind:  schema.GroupKind{Group: "apps", Kind: "ReplicaSet"},
		why:   "it records a revision of a Deployment",
		stays: hasLabel(wellknown.LabelRevision),
	},
	{
		kind:  schema.GroupKind{Kind: "Pod"},
		why:   "it mirrors a static pod",
		stays: hasAnnotation(corev1.MirrorPodAnnotationKey),
	},
	{
		kind:  schema.GroupKind{Kind: "ConfigMap"},
		why:   "every cluster publishes its own root certificate",
		stays: isNamed("kube-root-ca.crt"),
	},
	{
		kind:  schema.GroupKind{Kind: "ServiceAccount"},
		why:   "every namespace has a default service account",
		stays: isNamed("default"),
	},
	{
		kind:  schema.GroupKind{Kind: "Secret"},
		why:   "it is a token of a service account of the fleet",
		stays: hasAnnotation(corev1.ServiceAccountNameKey),
	},
	{
		kind: schema.GroupKind{Kind: "Secret"},
		why:  "it is a record of a Helm release",
		stays: func(meta metav1.Object) bool {
			return strings.HasPrefix(meta.GetName(), "sh.helm.release.v1.")
		},
	},
	{kind: schema.GroupKind{Kind: "Service"}, why: "it is the API server's own", stays: isAPIServerService},
	{kind: schema.GroupKind{Kind: "Endpoints"}, why: "it is the API server's own", stays: isAPIServerService},
	{
		kind:  schema.GroupKind{Kind: "Endpoints"},
		why:   "a controller made it",
		stays: hasLabel("endpoints.kubernetes.io/managed-by"),
	},
	{
		kind:  schema.GroupKind{Kind: "Endpoints"},
		why:   "a controller made it",
		stays: hasAnnotation(corev1.EndpointsLastChangeTriggerTime),
	},
	{
		kind:  schema.GroupKind{Group: discoveryv1.GroupName, Kind: "EndpointSlice"},
		why:   "it is the API server's own",
		stays: isAPIServerService,
	},
	{
		kind: schema.GroupKind{Group: discoveryv1.GroupName, Kind: "EndpointSlice"},
		why:  "a controller made it",
		stays: func(meta metav1.Object) bool {
			return strings.HasSuffix(meta.GetLabels()[discoveryv1.LabelManagedBy], ".k8s.io")
		},
	},
	{
		kind: schema.GroupKind{Group: "scheduling.k8s.io", Kind: "PriorityClass"},
		why:  "every cluster has the priority classes of the system",
		stays: func(meta metav1.Object) bool {
			return strings.HasPrefix(meta.GetName(), "system-")
		},
	},
	{
		kind: schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
		why:  "it defines an API of the fleet",
		stays: func(meta metav1.Object) bool {
			_, group, _ := strings.Cut(meta.GetName(), ".")
			return isFleetGroup(group)
		},
	},
	{kind: rbacKind("Role"), why: "every cluster has the roles of the system", stays: isBootstrapRBAC},
	{kind: rbacKind("RoleBinding"), why: "every cluster has the roles of the system", stays: isBootstrapRBAC},
	{kind: rbacKind("ClusterRole"), why: "every cluster has the roles of the system", stays: isBootstrapRBAC},
	{kind: rbacKind("ClusterRoleBinding"), why: "every cluster has the roles of the system", stays: isBootstrapRBAC},
}

// rulesByKind is rules by kind, those for every kind under the zero value.
var rulesByKind = func() map[schema.GroupKind][]rule {
	byKind := map[schema.GroupKind][]rule{}
	for _, r := range rules {
		byKind[r.kind] = append(byKind[r.kind], r)
	}
	return byKind
}()

// whyStays returns why the object is never carried to members, empty when it is.
func whyStays(kind schema.GroupKind, meta metav1.Object) string {
	if KindStays(kind) {
		return "objects of its kind stay in the fleet"
	}
	for _, candidates := range [][]rule{rulesByKind[schema.GroupKind{}], rulesByKind[kind]} {
		for _, r := range candidates {
			if r.stays(meta) {
				return r.why
			}
		}
	}
	return ""
}

func isControlPlaneNamespace(name string) bool {
	return strings.HasPrefix(name, "kube-") || strings.HasPrefix(name, "fleet-")
}

// isPlainDefaultNamespace tells the default namespace as every cluster has it
// from one that a user put labels or annotations on.
func isPlainDefaultNamespace(meta metav1.Object) bool {
	if meta.GetName() != metav1.NamespaceDefault || len(meta.GetAnnotations()) > 0 {
		return false
	}
	for key := range meta.GetLabels() {
		if key != corev1.LabelMetadataName {
			return false
		}
	}
	return true
}

func isAPIServerService(meta metav1.Object) bool {
	return meta.GetNamespace() == metav1.NamespaceDefault && meta.GetName() == "kubernetes"
}

// isBootstrapRBAC follows k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy,
// which labels everything it makes; the name prefix is reserved for it.
func isBootstrapRBAC(meta metav1.Object) bool {
	return meta.GetLabels()["kubernetes.io/bootstrapping"] == "rbac-defaults" || strings.HasPrefix(meta.GetName(), "system:")
}

// workloadControllers are the kinds whose native controllers make objects of
// other kinds. Those objects come to be in the members by themselves. An object
// owned by a custom resource is not among them: its operator may well run
// against the fleet.
var workloadControllers = sets.New(
	schema.GroupKind{Kind: "Node"},
	schema.GroupKind{Kind: "Pod"},
	schema.GroupKind{Kind: "ReplicationController"},
	schema.GroupKind{Kind: "Service"},
	schema.GroupKind{Group: "apps", Kind: "DaemonSet"},
	schema.GroupKind{Group: "apps", Kind: "Deployment"},
	schema.GroupKind{Group: "apps", Kind: "ReplicaSet"},
	schema.GroupKind{Group: "apps", Kind: "StatefulSet"},
	schema.GroupKind{Group: "batch", Kind: "CronJob"},
	schema.GroupKind{Group: "batch", Kind: "Job"},
)

// manualInstance is the annotation of a Job that a user made from a CronJob, which kubectl
// has be owned like those that the controller makes.
const manualInstance = "cronjob.kubernetes.io/instantiate"

func controlledByWorkload(meta metav1.Object) bool {
	owner := metav1.GetControllerOfNoCopy(meta)
	if owner == nil || owner.Kind == "CronJob" && meta.GetAnnotations()[manualInstance] == "manual" {
		return false
	}
	group, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && workloadControllers.Has(schema.GroupKind{Group: group.Group, Kind: owner.Kind})
}

func rbacKind(kind string) schema.GroupKind {
	return schema.GroupKind{Group: "rbac.authorization.k8s.io", Kind: kind}
}

func hasLabel(key string) func(metav1.Object) bool {
	return func(meta metav1.Object) bool {
		_, ok := meta.GetLabels()[key]
		return ok
	}
}

func hasAnnotation(key string) func(metav1.Object) bool {
	return func(meta metav1.Object) bool {
		_, ok := meta.GetAnnotations()[key]
		return ok
	}
}

func isNamed(name string) func(metav1.Object) bool {
	return func(meta metav1.Object) bool { return meta.GetName() == name }
}
