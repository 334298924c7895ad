// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Reference is an object of the core group in the namespace of a Pod.
type Reference struct {
	// Kind of the object.
	Kind string
	// Name of the object.
	Name string
}

// References returns the objects a Pod cannot start, or not work, without:
// ConfigMaps, Secrets, its ServiceAccount and PersistentVolumeClaims, sorted. The
// default ServiceAccount is in every member and not among them, nor is what a token of
// the cluster is checked by.
func References(spec *corev1.PodSpec) []Reference {
	var found []Reference
	add := func(kind string) podutil.Visitor {
		return func(name string) bool {
			if name != "" {
				found = append(found, Reference{Kind: kind, Name: name})
			}
			return true
		}
	}
	pod := &corev1.Pod{Spec: *spec}
	configMap := add("ConfigMap")
	podutil.VisitPodConfigmapNames(pod, func(name string) bool { return name == rootCA || configMap(name) })
	podutil.VisitPodSecretNames(pod, add("Secret"))
	if spec.ServiceAccountName != "default" {
		add("ServiceAccount")(spec.ServiceAccountName)
	}
	for _, claim := range Claims(spec) {
		add("PersistentVolumeClaim")(claim)
	}
	slices.SortFunc(found, func(a, b Reference) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return slices.Compact(found)
}

// rootCA is the ConfigMap that each cluster publishes in each namespace, and mounts with
// the token of a ServiceAccount, see upstream's controller rootcacertpublisher.
const rootCA = "kube-root-ca.crt"

// Claims returns the names of the PersistentVolumeClaims a Pod mounts, sorted.
func Claims(spec *corev1.PodSpec) []string {
	var names []string
	for _, volume := range spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			names = append(names, volume.PersistentVolumeClaim.ClaimName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
