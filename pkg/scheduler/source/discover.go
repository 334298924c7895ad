// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// customResourceDefinition is a kind like others, whose objects tell what other
// kinds to expect.
var customResourceDefinition = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// discover starts to watch kinds that are new and stops with those that are gone.
// It reports whether everything that is defined is watched.
func (s *Source) discover(ctx context.Context) bool {
	// One request, so that what is said of versions and of preferred ones is from one
	// moment, and fails together.
	groups, lists, err := s.discovery.ServerGroupsAndResources()
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		utilruntime.HandleErrorWithContext(ctx, err, "Discover what can be placed")
		return false
	}
	found := s.placeables(ctx, groups, lists)
	s.stopMissing(ctx, found, failed)
	for _, kind := range found {
		s.start(ctx, kind)
	}
	s.noteDefined()
	return err == nil && s.definitionsServed(found)
}

// placeables returns the kinds of what is served that can be placed.
func (s *Source) placeables(ctx context.Context, groups []*metav1.APIGroup, lists []*metav1.APIResourceList) map[schema.GroupKind]Kind {
	by, served, found := s.interpreter(), servedVersions(lists), map[schema.GroupKind]Kind{}
	preferred := preferredVersions(groups, served)
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Discover what can be placed")
			continue
		}
		for _, resource := range list.APIResources {
			kind, ok := placeable(version, resource)
			group := kind.Version.GroupKind()
			if !ok || preferred[group] != kind.Version.Version || s.aggregation.aggregated(kind.Version.GroupVersion()) {
				continue
			}
			if kind.Custom {
				kind.Versions = others(served[group], kind.Version.Version)
			}
			found[group] = kind.Interpreted(by)
		}
	}
	return found
}

// placeable returns the kind of a resource that users create and that can be
// watched, unless it stays in the fleet.
func placeable(version schema.GroupVersion, resource metav1.APIResource) (Kind, bool) {
	verbs := []string{"create", "list", "watch"}
	lacks := func(verb string) bool { return !slices.Contains(resource.Verbs, verb) }
	if strings.Contains(resource.Name, "/") || slices.ContainsFunc(verbs, lacks) {
		return Kind{}, false
	}
	if resource.Group != "" {
		version.Group = resource.Group
	}
	if resource.Version != "" {
		version.Version = resource.Version
	}
	kind := version.WithKind(resource.Kind)
	if template.KindStays(kind.GroupKind()) {
		return Kind{}, false
	}
	custom := !scheme.Scheme.IsGroupRegistered(version.Group) && kind.GroupKind() != customResourceDefinition
	return Kind{
		Kind:       template.KindOf(kind, resource.Namespaced, custom),
		Version:    kind,
		Resource:   version.WithResource(resource.Name),
		Namespaced: resource.Namespaced,
		Custom:     custom,
		Versions:   nativeVersions(kind),
	}, true
}

// stopMissing stops watching kinds that are not served any more, in groups whose
// discovery did not fail. A kind that changed its version or scope, or is read by
// other rules, is started anew.
func (s *Source) stopMissing(ctx context.Context, found map[schema.GroupKind]Kind, failed map[schema.GroupVersion]error) {
	failedGroups := sets.New[string]()
	for version := range failed {
		failedGroups.Insert(version.Group)
	}
	for _, w := range s.watchedKinds() {
		now, ok := found[w.Version.GroupKind()]
		if failedGroups.Has(w.Version.Group) || ok && now.same(w.Kind) {
			continue
		}
		klog.FromContext(ctx).V(2).Info("Stopping to watch templates", "kind", w.Version)
		s.mu.Lock()
		delete(s.kinds, w.Version.GroupKind())
		s.mu.Unlock()
		w.stop()
		w.done.Wait()
		if !ok && s.sawDefined(w.Version.GroupKind()) {
			s.handler.OnUnserved(w.Version.GroupKind())
		}
	}
}

// noteDefined remembers the kinds that CustomResourceDefinitions define. The others are
// the fleet's own or those of aggregated API servers, whose objects go on existing
// when they are not served.
func (s *Source) noteDefined() {
	definitions := s.watchedKind(customResourceDefinition)
	if definitions == nil {
		return
	}
	for _, w := range s.watchedKinds() {
		if w.Custom && definitions.get("", w.Definition().Name) != nil {
			s.mu.Lock()
			s.defined[w.Version.GroupKind()] = true
			s.mu.Unlock()
		}
	}
}

// sawDefined reports whether this process saw the CustomResourceDefinition of a kind.
func (s *Source) sawDefined(kind schema.GroupKind) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.defined[kind]
}

// same reports whether templates of a kind are watched and read alike.
func (k Kind) same(other Kind) bool {
	return k.Resource == other.Resource && k.Namespaced == other.Namespaced && k.Rules == other.Rules && slices.Equal(k.Versions, other.Versions)
}

// definitionsServed reports whether there is a watched kind for each
// CustomResourceDefinition, whose name is <plural>.<group>.
func (s *Source) definitionsServed(found map[schema.GroupKind]Kind) bool {
	definitions := s.watchedKind(customResourceDefinition)
	if definitions == nil || !definitions.listed() {
		return false
	}
	served := sets.New[string]()
	for _, kind := range found {
		served.Insert(kind.Resource.GroupResource().String())
	}
	for _, definition := range templates(definitions.store.List()) {
		if definition.Stays == "" && definition.DeletionTimestamp.IsZero() && !served.Has(definition.Name) {
			return false
		}
	}
	return true
}

// Definition returns the CustomResourceDefinition that would define a kind.
func (k Kind) Definition() template.Key {
	return definitionOf(k.Resource.GroupResource())
}

func definitionOf(resource schema.GroupResource) template.Key {
	return template.Key{Group: customResourceDefinition.Group, Kind: customResourceDefinition.Kind, Name: resource.String()}
}

// DefinedGroup returns the group of the kind that a template defines, empty when it
// defines none.
func DefinedGroup(key template.Key) string {
	if !IsDefinition(key) {
		return ""
	}
	_, group, _ := strings.Cut(key.Name, ".")
	return group
}

// IsDefinition reports whether the template defines other kinds.
func IsDefinition(key template.Key) bool { return key.GroupKind() == customResourceDefinition }
