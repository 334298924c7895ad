// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// differences are what makes the object of a template in one member differ from that in
// another, apart from replicas.
type differences struct {
	overrides []workv1alpha1.ResolvedOverride
	versions  []workv1alpha1.MemberVersion
}

// resolve returns what differs on the members that have the object of a template by a
// spec, which are those decided upon, those that are evicted, and those of its
// dependents.
func (s *Scheduler) resolve(t *template.Template, on workv1alpha1.BindingSpec) (differences, error) {
	overrides, err := s.resolveOverrides(t, on)
	return differences{overrides: overrides, versions: s.versionsOf(t.Kind, on.Holders())}, err
}

// versionsOf returns the versions in which members get objects of a kind that they do
// not serve in its own. A member that is not known to serve any is left out: what it
// reports may be incomplete, or a definition be on its way.
func (s *Scheduler) versionsOf(kind schema.GroupVersionKind, clusters sets.Set[string]) []workv1alpha1.MemberVersion {
	known, _ := s.templates.Kind(kind.GroupKind())
	if len(known.Versions) == 0 {
		return nil
	}
	members, byVersion := s.cache.Members(), map[string][]string{}
	for _, name := range sets.List(clusters) {
		member := find(members, name)
		if member == nil {
			continue
		}
		if version, ok := member.APIs.Version(kind, known.Versions); ok && version != kind.Version {
			byVersion[version] = append(byVersion[version], name)
		}
	}
	var out []workv1alpha1.MemberVersion
	for _, version := range slices.Sorted(maps.Keys(byVersion)) {
		gv := schema.GroupVersion{Group: kind.Group, Version: version}
		out = append(out, workv1alpha1.MemberVersion{APIVersion: gv.String(), Clusters: byVersion[version]})
	}
	return out
}
