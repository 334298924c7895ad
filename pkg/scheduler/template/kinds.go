// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Auto is what auto placement does with a kind.
type Auto string

const (
	// AutoEverywhere places on every feasible member.
	AutoEverywhere Auto = "Everywhere"
	// AutoFootprint places on the members where the namespace has workloads.
	AutoFootprint Auto = "Footprint"
	// AutoFootprintOrEverywhere is AutoFootprint once the namespace has workloads
	// and AutoEverywhere until then.
	AutoFootprintOrEverywhere Auto = "FootprintOrEverywhere"
	// AutoNamespace places a Namespace on the members where anything in it is.
	AutoNamespace Auto = "Namespace"
	// AutoDivided divides replicas over the feasible members by free capacity.
	AutoDivided Auto = "Divided"
	// AutoSingle places on one member, and elsewhere when that one leaves.
	AutoSingle Auto = "Single"
	// AutoOnce places on one member, and never anywhere else while that exists.
	AutoOnce Auto = "Once"
	// AutoWithPods places a claim on the members of the Pods that mount it.
	AutoWithPods Auto = "WithPods"
	// AutoStay leaves the object in the fleet unless a policy names it.
	AutoStay Auto = "Stay"
)

// Traits are what a Reader finds in an object beyond its metadata.
type Traits struct {
	// NamedOnly is Template.NamedOnly.
	NamedOnly bool
	// Workload is Template.Workload.
	Workload *Workload
	// Links is Template.Links.
	Links *Links
	// Problem is Template.Problem.
	Problem string
	// Priority is Template.Priority.
	Priority *Priority
}

// Reader reads the traits of an object of one kind.
type Reader func(object runtime.Object) Traits

// Kind is what the scheduler knows about a kind.
type Kind struct {
	// Auto is what auto placement does with it.
	Auto Auto
	// Runs says that its objects run Pods, which makes the members they are on
	// the footprint of their namespace.
	Runs bool
	// Read reads more than metadata. Nil where metadata is all there is to know;
	// then only metadata is fetched.
	Read Reader
	// ReplicaRevision is the expression that sets replicas; empty for native kinds,
	// and those whose replicas nothing can set.
	ReplicaRevision string
	// Rules are the expressions a custom kind is read by, so that two can be compared.
	// Empty when there are none.
	Rules string
}

// kinds is the one table of native kinds that differ from the rule: namespaced
// ones follow the footprint of their namespace, others go everywhere.
var kinds = map[schema.GroupVersionKind]Kind{
	corev1.SchemeGroupVersion.WithKind("Pod"):                   {Auto: AutoOnce, Runs: true, Read: reader(readPod)},
	corev1.SchemeGroupVersion.WithKind("ReplicationController"): {Auto: AutoDivided, Runs: true, Read: reader(readReplicationController)},
	appsv1.SchemeGroupVersion.WithKind("Deployment"):            {Auto: AutoDivided, Runs: true, Read: reader(readDeployment)},
	appsv1.SchemeGroupVersion.WithKind("ReplicaSet"):            {Auto: AutoDivided, Runs: true, Read: reader(readReplicaSet)},
	appsv1.SchemeGroupVersion.WithKind("StatefulSet"):           {Auto: AutoSingle, Runs: true, Read: reader(readStatefulSet)},
	appsv1.SchemeGroupVersion.WithKind("DaemonSet"):             {Auto: AutoEverywhere, Runs: true, Read: reader(readDaemonSet)},
	batchv1.SchemeGroupVersion.WithKind("Job"):                  {Auto: AutoOnce, Runs: true, Read: reader(readJob)},
	batchv1.SchemeGroupVersion.WithKind("CronJob"):              {Auto: AutoOnce, Runs: true, Read: reader(readCronJob)},

	corev1.SchemeGroupVersion.WithKind("Namespace"):             {Auto: AutoNamespace},
	corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"): {Auto: AutoWithPods},

	corev1.SchemeGroupVersion.WithKind("Service"):               {Auto: AutoFootprint, Read: reader(readService)},
	corev1.SchemeGroupVersion.WithKind("ServiceAccount"):        {Auto: AutoFootprint, Read: reader(readServiceAccount)},
	networkingv1.SchemeGroupVersion.WithKind("Ingress"):         {Auto: AutoFootprint, Read: reader(readIngress)},
	policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"): {Auto: AutoFootprint, Read: reader(readPodDisruptionBudget)},

	rbacv1.SchemeGroupVersion.WithKind("RoleBinding"):        {Auto: AutoFootprint, Read: reader(readRoleBinding)},
	rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"): {Auto: AutoEverywhere, Read: reader(readClusterRoleBinding)},

	schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"): {Auto: AutoEverywhere, Read: reader(readPriorityClass)},

	// An autoscaler in a member takes over from the division of replicas there. That is
	// for who asks for it, or sends it along with what it scales.
	autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"): {Auto: AutoStay, Read: reader(readAutoscaler)},

	// A PersistentVolume names one piece of storage; two members must not both
	// mount it.
	corev1.SchemeGroupVersion.WithKind("PersistentVolume"): {Auto: AutoStay},
}

// kindsLeftToTheFleet are kinds, in any version, that act on the fleet itself. A copy
// in a member would act a second time: a webhook there would refuse everything
// wherever its Pods are not.
var kindsLeftToTheFleet = map[schema.GroupKind]bool{
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}:                         true,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:   true,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}: true,
}

// KindOf returns what the scheduler knows about a kind. custom says that a
// CustomResourceDefinition or an aggregated server defines it.
func KindOf(kind schema.GroupVersionKind, namespaced, custom bool) Kind {
	if known, ok := kinds[kind]; ok {
		return known
	}
	switch {
	case kindsLeftToTheFleet[kind.GroupKind()]:
		return Kind{Auto: AutoStay}
	case !namespaced:
		return Kind{Auto: AutoEverywhere}
	case custom:
		return Kind{Auto: AutoFootprintOrEverywhere}
	default:
		return Kind{Auto: AutoFootprint}
	}
}

// Runs reports whether templates of the kind run Pods, see Kind.
func Runs(kind schema.GroupKind) bool { return running[kind] }

var running = func() map[schema.GroupKind]bool {
	out := map[schema.GroupKind]bool{}
	for kind, known := range kinds {
		if known.Runs {
			out[kind.GroupKind()] = true
		}
	}
	return out
}()

// reader adapts a function over a typed object. A Reader is called with objects
// of its own kind only; an object of another type has no traits.
func reader[T runtime.Object](read func(T) Traits) Reader {
	return func(object runtime.Object) Traits {
		typed, ok := object.(T)
		if !ok {
			return Traits{}
		}
		return read(typed)
	}
}
