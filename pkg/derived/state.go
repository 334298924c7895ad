// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

// state is what works are rendered from, as of one revision of etcd. One
// goroutine uses it.
type state struct {
	capture *Capture
	// Resources whose events are told apart by the prefix of their keys.
	bindingResources   []*resource
	definitionResource *resource // nil without custom resources
	ignoredResources   []*resource

	bindings  map[string]*binding  // by etcd key
	templates map[string]*template // by etcd key, those of bindings
	recent    *recent

	definitions       map[string]*definition // by etcd key
	definitionsByKind map[schema.GroupKind]*definition
	// custom are the bindings of kinds that are not native, to be looked at
	// again when a definition of the kind comes or changes.
	custom map[schema.GroupKind]map[string]*binding

	// names are the keys of the bindings by the name of their works.
	names map[string]string

	// dirty are the bindings to render, by etcd key.
	dirty map[string]*binding
}

// binding is one stored binding.
type binding struct {
	key      string
	name     types.NamespacedName
	uid      types.UID
	revision int64
	object   workv1alpha1.Binding // without status, nil once deleted
	template *template            // nil while it is not known where templates of the kind are
	works    map[string]*entry    // by member
}

// template is one stored template that bindings refer to.
type template struct {
	key string
	stored
	bindings map[string]*binding
}

// exists says whether the template was found in etcd.
func (t *template) exists() bool { return t.revision > 0 }

// neverTemplates are resources that are written often and never propagated.
var neverTemplates = []schema.GroupResource{
	{Resource: "events"},
	{Group: "events.k8s.io", Resource: "events"},
	{Group: "coordination.k8s.io", Resource: "leases"},
}

func newState(capture *Capture) *state {
	s := &state{
		capture:            capture,
		definitionResource: capture.resource(definitionsResource),
		bindings:           map[string]*binding{},
		templates:          map[string]*template{},
		recent:             newRecent(),
		definitions:        map[string]*definition{},
		definitionsByKind:  map[schema.GroupKind]*definition{},
		custom:             map[schema.GroupKind]map[string]*binding{},
		names:              map[string]string{},
		dirty:              map[string]*binding{},
	}
	for _, groupResource := range []schema.GroupResource{bindingsResource, clusterBindingsResource} {
		s.bindingResources = append(s.bindingResources, capture.resource(groupResource))
	}
	for _, groupResource := range neverTemplates {
		if r := capture.resource(groupResource); r != nil {
			s.ignoredResources = append(s.ignoredResources, r)
		}
	}
	return s
}

// bindingResource returns the resource of bindings the key is under, or nil.
func (s *state) bindingResource(key string) *resource {
	for _, r := range s.bindingResources {
		if strings.HasPrefix(key, r.keyPrefix) {
			return r
		}
	}
	return nil
}

// isDefinition says whether the key is that of a CustomResourceDefinition.
func (s *state) isDefinition(key string) bool {
	return s.definitionResource != nil && strings.HasPrefix(key, s.definitionResource.keyPrefix)
}

// isIgnored says whether no template is under the key.
func (s *state) isIgnored(key string) bool {
	return slices.ContainsFunc(s.ignoredResources, func(r *resource) bool { return strings.HasPrefix(key, r.keyPrefix) })
}

// decodeBinding decodes a stored binding, without what nothing is rendered from.
func decodeBinding(ctx context.Context, r *resource, key string, value []byte) (workv1alpha1.Binding, error) {
	object, err := r.decode(ctx, key, value)
	if err != nil {
		return nil, err
	}
	converted, err := r.convert(object, workv1alpha1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	decoded, ok := converted.(workv1alpha1.Binding)
	if !ok {
		return nil, fmt.Errorf("decode %q: %T is no binding", key, converted)
	}
	render.Trim(decoded)
	return decoded, nil
}

// putBinding takes in a binding that was written. The template it refers to is
// looked up with read when it is not known.
func (s *state) putBinding(key string, revision int64, object workv1alpha1.Binding, read func(key string) (stored, error)) error {
	b := s.bindings[key]
	if b == nil {
		b = &binding{key: key, works: map[string]*entry{}}
		s.bindings[key] = b
	}
	b.revision = revision
	if b.object != nil && b.template != nil && sameDecision(b.object, object) {
		return nil
	}
	s.unlink(b)
	b.object = object
	b.name = types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
	b.uid = object.GetUID()
	if name := b.workName(); s.names[name] == "" {
		s.names[name] = key
	}
	s.dirty[key] = b
	return s.link(b, read)
}

// sameDecision says whether the same is rendered for two versions of a binding, both
// trimmed, as is mostly the case when only its status was written.
func sameDecision(a, b workv1alpha1.Binding) bool {
	return a.GetUID() == b.GetUID() && a.GetGeneration() == b.GetGeneration() &&
		equality.Semantic.DeepEqual(a.GetSpec(), b.GetSpec()) && equality.Semantic.DeepEqual(a.GetStatus(), b.GetStatus())
}

// deleteBinding takes in that a binding was deleted.
func (s *state) deleteBinding(key string) {
	b := s.bindings[key]
	if b == nil {
		return
	}
	s.unlink(b)
	b.object = nil
	delete(s.bindings, key)
	if name := b.workName(); s.names[name] == key {
		delete(s.names, name)
	}
	s.dirty[key] = b
}

// workName is the name of the works of the binding.
func (b *binding) workName() string { return workv1alpha1.WorkName(b.name.Namespace, b.name.Name) }

// checkName refuses to render a binding whose works have the name of those of
// another one: names end in a hash. It is rendered when it is written again after
// the other one is gone.
func (s *state) checkName(b *binding) error {
	if owner := s.names[b.workName()]; owner != b.key {
		return fmt.Errorf("render works %q: they have the name of those of another binding, %q", b.workName(), owner)
	}
	return nil
}

// link ties a binding to its template.
func (s *state) link(b *binding, read func(key string) (stored, error)) error {
	kind := b.object.GetSpec().Resource.GroupKind()
	if s.capture.kind(kind) == nil {
		if s.custom[kind] == nil {
			s.custom[kind] = map[string]*binding{}
		}
		s.custom[kind][b.key] = b
	}
	key, err := s.templateKey(b.object.GetSpec())
	if err != nil {
		return nil //nolint:nilerr // rendering reports it, see templateOf
	}
	t := s.templates[key]
	if t == nil {
		t = &template{key: key, bindings: map[string]*binding{}}
		if known, ok := s.recent.get(key); ok {
			t.stored = known
		} else if t.stored, err = read(key); err != nil {
			return err
		}
		s.templates[key] = t
	}
	t.bindings[b.key] = b
	b.template = t
	return nil
}

// unlink is the reverse of link.
func (s *state) unlink(b *binding) {
	if b.object == nil {
		return
	}
	kind := b.object.GetSpec().Resource.GroupKind()
	delete(s.custom[kind], b.key)
	if len(s.custom[kind]) == 0 {
		delete(s.custom, kind)
	}
	t := b.template
	if t == nil {
		return
	}
	b.template = nil
	delete(t.bindings, b.key)
	if len(t.bindings) == 0 {
		delete(s.templates, t.key)
		if t.exists() {
			s.recent.put(t.key, t.stored)
		}
	}
}

// errNotServed is why nothing is rendered for a kind nobody serves.
var errNotServed = errors.New("the fleet serves no such kind")

// templateKey is the etcd key of the template of a binding.
func (s *state) templateKey(spec *workv1alpha1.BindingSpec) (string, error) {
	kind := spec.Resource.GroupKind()
	if native := s.capture.kind(kind); native != nil {
		if !slices.Equal(native.transport.ServerList, s.capture.resource(bindingsResource).transport.ServerList) {
			return "", fmt.Errorf("read template of kind %s: it is in another etcd than the bindings", kind)
		}
		return native.key(spec.Resource.Namespace, spec.Resource.Name)
	}
	if custom := s.definitionsByKind[kind]; custom != nil {
		return custom.key(spec.Resource.Namespace, spec.Resource.Name)
	}
	return "", fmt.Errorf("read template of kind %s: %w", kind, errNotServed)
}

// putTemplate takes in that an object was written which may be a template.
func (s *state) putTemplate(key string, value stored) {
	t := s.templates[key]
	if t == nil {
		if !s.isIgnored(key) {
			s.recent.put(key, value)
		}
		return
	}
	t.stored = value
	maps.Copy(s.dirty, t.bindings)
}

// deleteTemplate takes in that an object was deleted which may be a template.
func (s *state) deleteTemplate(key string) {
	s.recent.delete(key)
	if t := s.templates[key]; t != nil {
		t.stored = stored{}
		maps.Copy(s.dirty, t.bindings)
	}
}

// putDefinition takes in a CustomResourceDefinition that was written.
func (s *state) putDefinition(key string, made *definition, read func(key string) (stored, error)) error {
	old := s.definitions[key]
	if old.equal(made) {
		return nil
	}
	s.deleteDefinition(key)
	s.definitions[key] = made
	if made.kind.Kind != "" {
		s.definitionsByKind[made.kind] = made
	}
	return s.relink(made.kind, read)
}

// deleteDefinition takes in that a CustomResourceDefinition was deleted. Its
// bindings keep their works: that the kind is gone says nothing of the members.
func (s *state) deleteDefinition(key string) {
	if old := s.definitions[key]; old != nil && s.definitionsByKind[old.kind] == old {
		delete(s.definitionsByKind, old.kind)
	}
	delete(s.definitions, key)
}

// relink ties the bindings of a kind to their templates again.
func (s *state) relink(kind schema.GroupKind, read func(key string) (stored, error)) error {
	for _, b := range maps.Clone(s.custom[kind]) {
		s.unlink(b)
		s.dirty[b.key] = b
		if err := s.link(b, read); err != nil {
			return err
		}
	}
	return nil
}

// takeDirty returns the bindings to render, sorted by key, and forgets them.
func (s *state) takeDirty() []*binding {
	dirty := slices.SortedFunc(maps.Values(s.dirty), func(a, b *binding) int { return cmp.Compare(a.key, b.key) })
	clear(s.dirty)
	return dirty
}

// templateOf decodes the template of a binding in the version the binding asks
// for; nil when it does not exist. It only reads the state.
func (s *state) templateOf(ctx context.Context, b *binding) (*unstructured.Unstructured, error) {
	spec := b.object.GetSpec()
	if b.template == nil {
		_, err := s.templateKey(spec)
		return nil, err
	}
	if !b.template.exists() {
		return nil, nil
	}
	return s.templateIn(ctx, b, spec.Resource.APIVersion)
}

// templateIn decodes the template of a binding, which exists, in a version.
func (s *state) templateIn(ctx context.Context, b *binding, apiVersion string) (*unstructured.Unstructured, error) {
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, fmt.Errorf("parse apiVersion of template: %w", err)
	}
	kind := b.object.GetSpec().Resource.GroupKind()
	if native := s.capture.kind(kind); native != nil {
		return native.unstructured(ctx, b.template.key, b.template.value, version)
	}
	if custom := s.definitionsByKind[kind]; custom != nil {
		return custom.unstructured(ctx, b.template.key, b.template.value, version)
	}
	return nil, fmt.Errorf("read template of kind %s: %w", kind, errNotServed)
}

// logDecodeError reports a stored object nothing can be made of.
func logDecodeError(ctx context.Context, object, key string, err error) {
	decodeErrorsTotal.WithLabelValues(object).Inc()
	klog.FromContext(ctx).Error(err, "Cannot read stored object, keeping what was rendered before", "object", object, "key", key)
}
