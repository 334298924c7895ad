// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes/scheme"
)

// nativeVersions returns the versions of a native kind besides the given one, the best
// first: those that the scheme converts between, whether the fleet serves them or not.
func nativeVersions(kind schema.GroupVersionKind) []string {
	var versions []string
	for _, gv := range scheme.Scheme.PrioritizedVersionsForGroup(kind.Group) {
		if gv.Version != kind.Version && scheme.Scheme.Recognizes(gv.WithKind(kind.Kind)) {
			versions = append(versions, gv.Version)
		}
	}
	return versions
}

// servedVersions returns the versions in which kinds are served, by kind.
func servedVersions(lists []*metav1.APIResourceList) map[schema.GroupKind][]string {
	served := map[schema.GroupKind][]string{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				kind := gv.WithKind(resource.Kind).GroupKind()
				served[kind] = append(served[kind], gv.Version)
			}
		}
	}
	return served
}

// preferredVersions returns the version in which each of the served kinds is to be read:
// that of its group if the kind is served in it, or else the first.
func preferredVersions(groups []*metav1.APIGroup, served map[schema.GroupKind][]string) map[schema.GroupKind]string {
	ofGroup := map[string]string{}
	for _, group := range groups {
		ofGroup[group.Name] = group.PreferredVersion.Version
	}
	preferred := map[schema.GroupKind]string{}
	for kind, versions := range served {
		preferred[kind] = versions[0]
		if slices.Contains(versions, ofGroup[kind.Group]) {
			preferred[kind] = ofGroup[kind.Group]
		}
	}
	return preferred
}

// others returns versions without the given one, the best first.
func others(versions []string, but string) []string {
	rest := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v == but })
	slices.SortFunc(rest, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	return slices.Compact(rest)
}
