// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// apiResource is where objects of a kind are found.
type apiResource struct {
	kind       schema.GroupVersionKind
	gvr        schema.GroupVersionResource
	namespaced bool
}

// kinds are the kinds that cases are about.
var kinds = func() []apiResource {
	of := func(group, version string, namespaced bool, names ...string) []apiResource {
		var out []apiResource
		gv := schema.GroupVersion{Group: group, Version: version}
		for _, name := range names {
			kind, plural, _ := strings.Cut(name, "/")
			if plural == "" {
				plural = strings.ToLower(kind) + "s"
			}
			out = append(out, apiResource{kind: gv.WithKind(kind), gvr: gv.WithResource(plural), namespaced: namespaced})
		}
		return out
	}
	var all []apiResource
	for _, some := range [][]apiResource{
		of("", "v1", true, "ConfigMap", "Secret", "Service", "ServiceAccount", "PersistentVolumeClaim", "Pod", "ResourceQuota"),
		of("", "v1", false, "Namespace", "Node"),
		of("apps", "v1", true, "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"),
		of("batch", "v1", true, "Job", "CronJob"),
		of("networking.k8s.io", "v1", true, "Ingress/ingresses", "NetworkPolicy/networkpolicies"),
		of("networking.k8s.io", "v1", false, "IngressClass/ingressclasses"),
		of("policy", "v1", true, "PodDisruptionBudget"),
		of("autoscaling", "v2", true, "HorizontalPodAutoscaler"),
		of("coordination.k8s.io", "v1", true, "Lease"),
		of("scheduling.k8s.io", "v1", false, "PriorityClass/priorityclasses"),
		of("rbac.authorization.k8s.io", "v1", true, "Role", "RoleBinding"),
		of("rbac.authorization.k8s.io", "v1", false, "ClusterRole", "ClusterRoleBinding"),
		of("apiextensions.k8s.io", "v1", false, "CustomResourceDefinition"),
		of("placement.example.com", "v1", true, "Gadget", "Gizmo", "Crew", "Cast", "Band"),
		of("argoproj.io", "v1alpha1", true, "Rollout"),
		of("cluster.fleet.dev", "v1alpha1", false, "Cluster"),
		of("policy.fleet.dev", "v1alpha1", true, "PropagationPolicy/propagationpolicies", "OverridePolicy/overridepolicies"),
		of("policy.fleet.dev", "v1alpha1", false, "ClusterPropagationPolicy/clusterpropagationpolicies", "ClusterOverridePolicy/clusteroverridepolicies"),
		of("apps.fleet.dev", "v1alpha1", false, "WorkloadRebalancer"),
		of("config.fleet.dev", "v1alpha1", false, "ResourceInterpreterCustomization"),
		of("work.fleet.dev", "v1alpha1", true, "ResourceBinding"),
		of("work.fleet.dev", "v1alpha1", false, "ClusterResourceBinding"),
	} {
		all = append(all, some...)
	}
	return all
}()

func resourceOf(kind schema.GroupVersionKind) (apiResource, error) {
	for _, r := range kinds {
		if r.kind == kind {
			return r, nil
		}
	}
	return apiResource{}, fmt.Errorf("no case is about %s", kind)
}

// reference names an object.
type reference struct {
	resource apiResource
	name     string
}

// parse reads "deployment/web". It panics on what no case is about.
func parse(ref string) reference {
	kind, name, _ := strings.Cut(ref, "/")
	for _, r := range kinds {
		if strings.EqualFold(r.kind.Kind, kind) {
			return reference{resource: r, name: name}
		}
	}
	panic("no case is about " + ref)
}

// namespaceFor is the namespace of an object of the case, empty for one in none.
func (s *story) namespaceFor(r reference) string {
	if !r.resource.namespaced {
		return ""
	}
	return s.namespace
}

// bindingOf names the binding of an object.
func (s *story) bindingOf(r reference) (name string) {
	return workv1alpha1.BindingNameForGroupKind(r.resource.kind.GroupKind(), s.fill(r.name))
}

// bindingName is the name of the binding of an object, for references.
func bindingName(ref string) string { return (&story{}).bindingOf(parse(ref)) }

func memberNamed(name string) *member {
	for _, m := range bed.members {
		if m.Name() == name {
			return m
		}
	}
	panic("no member is named " + name)
}
