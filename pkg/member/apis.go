// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// Resource is how a member serves a kind.
type Resource struct {
	schema.GroupVersionResource
	// Namespaced is false for cluster-scoped kinds.
	Namespaced bool
	// Stored is true when objects can be listed and deleted: they are there, and not
	// made up when asked for.
	Stored bool
}

// APIs is what a member serves. It is immutable; members that serve the same
// share one value through their Catalog.
type APIs struct {
	kinds map[schema.GroupVersionKind]Resource
	// versions are all that are served, also those without kinds of their own: what is
	// measured by a custom metric is a subresource of nothing in its version.
	versions   map[schema.GroupVersion]bool
	incomplete map[schema.GroupVersion]bool
}

// newAPIs reads the lists of discovery. Versions in failed are taken from
// previous, which may be nil: an API server whose backend is down for a moment
// still serves the same kinds.
func newAPIs(lists []*metav1.APIResourceList, failed map[schema.GroupVersion]error, previous *APIs) *APIs {
	apis := &APIs{
		kinds: map[schema.GroupVersionKind]Resource{}, versions: map[schema.GroupVersion]bool{}, incomplete: map[schema.GroupVersion]bool{},
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		apis.versions[gv] = true
		for _, resource := range list.APIResources {
			if strings.Contains(resource.Name, "/") {
				continue
			}
			apis.kinds[gv.WithKind(resource.Kind)] = Resource{
				GroupVersionResource: gv.WithResource(resource.Name),
				Namespaced:           resource.Namespaced,
				Stored:               slices.Contains(resource.Verbs, "list") && slices.Contains(resource.Verbs, "delete"),
			}
		}
	}
	for gv := range failed {
		apis.incomplete[gv] = true
	}
	if previous != nil {
		apis.keepFailed(previous)
	}
	return apis
}

func (a *APIs) keepFailed(previous *APIs) {
	for kind, resource := range previous.kinds {
		if a.incomplete[kind.GroupVersion()] {
			a.kinds[kind] = resource
		}
	}
	for gv := range previous.versions {
		if a.incomplete[gv] {
			a.versions[gv] = true
		}
	}
}

// Resource returns how kind is served, false when it is not.
func (a *APIs) Resource(kind schema.GroupVersionKind) (Resource, bool) {
	resource, ok := a.kinds[kind]
	return resource, ok
}

// AnyVersion returns how kind is served in one of its versions, false when no
// version is served. The choice is stable.
func (a *APIs) AnyVersion(kind schema.GroupKind) (schema.GroupVersionKind, bool) {
	var versions []schema.GroupVersionKind
	for served := range a.kinds {
		if served.GroupKind() == kind {
			versions = append(versions, served)
		}
	}
	if len(versions) == 0 {
		return schema.GroupVersionKind{}, false
	}
	return slices.MinFunc(versions, func(x, y schema.GroupVersionKind) int { return cmp.Compare(x.Version, y.Version) }), true
}

// Stored returns how kinds with objects are served, each in one of its versions,
// sorted by kind.
func (a *APIs) Stored() []schema.GroupVersionKind {
	chosen := map[schema.GroupKind]schema.GroupVersionKind{}
	for kind, resource := range a.kinds {
		known, ok := chosen[kind.GroupKind()]
		if resource.Stored && (!ok || kind.Version < known.Version) {
			chosen[kind.GroupKind()] = kind
		}
	}
	return slices.SortedFunc(maps.Values(chosen), func(x, y schema.GroupVersionKind) int {
		return cmp.Or(cmp.Compare(x.Group, y.Group), cmp.Compare(x.Kind, y.Kind))
	})
}

// Empty returns true before discovery succeeded once.
func (a *APIs) Empty() bool { return len(a.kinds) == 0 }

// Complete returns false while part of the member's discovery fails.
func (a *APIs) Complete() bool { return len(a.incomplete) == 0 }

// Uncertain returns true while discovery of any version of group fails, so that
// a kind that is not listed may be served all the same.
func (a *APIs) Uncertain(group string) bool {
	for gv := range a.incomplete {
		if gv.Group == group {
			return true
		}
	}
	return false
}

// Incomplete returns the versions whose discovery fails, sorted.
func (a *APIs) Incomplete() []string {
	versions := make([]string, 0, len(a.incomplete))
	for gv := range a.incomplete {
		versions = append(versions, gv.String())
	}
	slices.Sort(versions)
	return versions
}

// Enablements returns the APIs in the form of Cluster.status, sorted.
func (a *APIs) Enablements() []clusterv1alpha1.APIEnablement {
	byVersion := map[string][]clusterv1alpha1.APIResource{}
	for gv := range a.versions {
		byVersion[gv.String()] = nil
	}
	for kind, resource := range a.kinds {
		gv := kind.GroupVersion().String()
		byVersion[gv] = append(byVersion[gv], clusterv1alpha1.APIResource{Name: resource.Resource, Kind: kind.Kind})
	}
	enablements := make([]clusterv1alpha1.APIEnablement, 0, len(byVersion))
	for _, gv := range slices.Sorted(maps.Keys(byVersion)) {
		resources := byVersion[gv]
		slices.SortFunc(resources, func(x, y clusterv1alpha1.APIResource) int { return cmp.Compare(x.Name, y.Name) })
		enablements = append(enablements, clusterv1alpha1.APIEnablement{GroupVersion: gv, Resources: resources})
	}
	return enablements
}

// hash identifies the content: equal APIs have equal hashes.
func (a *APIs) hash() string {
	digest := sha256.New()
	lines := make([]string, 0, len(a.kinds)+len(a.incomplete))
	for kind, resource := range a.kinds {
		lines = append(lines, fmt.Sprintf("%s %s %t %t\n", kind, resource.Resource, resource.Namespaced, resource.Stored))
	}
	for gv := range a.versions {
		lines = append(lines, fmt.Sprintf("%s\n", gv))
	}
	for gv := range a.incomplete {
		lines = append(lines, fmt.Sprintf("%s incomplete\n", gv))
	}
	slices.Sort(lines)
	for _, line := range lines {
		digest.Write([]byte(line))
	}
	return hex.EncodeToString(digest.Sum(nil))
}
