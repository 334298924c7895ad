// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// ErrNotServed says that the fleet does not serve the kind of a template, so that
// nothing can be said about it.
var ErrNotServed = errors.New("its kind is not served")

// definitions are the objects that define kinds.
var definitions = schema.GroupVersionResource{
	Group:    customResourceDefinition.Group,
	Version:  "v1",
	Resource: "customresourcedefinitions",
}

// Live reads the metadata of a template from the fleet itself. The answer that it
// does not exist is a NotFound error. A template whose kind is not served exists
// as little when a CustomResourceDefinition is known to have defined its kind and is
// gone: the fleet removes all objects of a kind before the definition. In all other
// cases the error is ErrNotServed: objects of an aggregated API server go on existing
// when nobody serves them.
func (s *Source) Live(ctx context.Context, key template.Key) (*metav1.PartialObjectMetadata, error) {
	if kind, ok := s.Kind(key.GroupKind()); ok {
		live, err := s.metadata.Resource(kind.Resource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if apierrors.IsUnexpectedServerError(err) {
			// A path that is not served, or a proxy in between, says nothing about
			// the object.
			return nil, fmt.Errorf("get %s: unexpected answer: %s", key, err.Error())
		}
		return live, err
	}
	undefined, err := s.undefined(ctx, key.GroupKind())
	switch {
	case err != nil:
		return nil, err
	case !undefined:
		return nil, fmt.Errorf("get %s: %w", key, ErrNotServed)
	default:
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: key.Group, Resource: key.Kind}, key.Name)
	}
}

// undefined reports whether a CustomResourceDefinition defined the kind and nothing
// does now: neither the fleet itself, nor an aggregated API server, nor a
// CustomResourceDefinition.
func (s *Source) undefined(ctx context.Context, kind schema.GroupKind) (bool, error) {
	if scheme.Scheme.IsGroupRegistered(kind.Group) || kind.Group == customResourceDefinition.Group || !s.wasDefined(kind) {
		return false, nil
	}
	aggregated, err := s.anyOf(ctx, apiServices, func(service map[string]any) bool {
		group, _, _ := unstructured.NestedString(service, "spec", "group")
		_, remote, _ := unstructured.NestedMap(service, "spec", "service")
		return remote && group == kind.Group
	})
	if err != nil || aggregated {
		return false, err
	}
	defined, err := s.anyOf(ctx, definitions, func(definition map[string]any) bool {
		group, _, _ := unstructured.NestedString(definition, "spec", "group")
		name, _, _ := unstructured.NestedString(definition, "spec", "names", "kind")
		return group == kind.Group && name == kind.Kind
	})
	return err == nil && !defined, err
}

// anyOf reports whether is does for one of the objects of the fleet.
func (s *Source) anyOf(ctx context.Context, resource schema.GroupVersionResource, is func(map[string]any) bool) (bool, error) {
	list, err := s.dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("find out who defines a kind: %w", err)
	}
	return slices.ContainsFunc(list.Items, func(item unstructured.Unstructured) bool { return is(item.Object) }), nil
}

// wasDefined reports whether a CustomResourceDefinition is known to define the kind, or
// to have done so: this process saw it, or somebody placed one of the usual name.
func (s *Source) wasDefined(kind schema.GroupKind) bool {
	if seen := s.sawDefined(kind); seen || s.placed == nil {
		return seen
	}
	plural, _ := meta.UnsafeGuessKindToResource(kind.WithVersion(""))
	return s.placed(definitionOf(plural.GroupResource()))
}
