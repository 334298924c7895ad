// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
// as little when nothing defines its kind any more: the fleet removes all objects
// of a kind before the definition. When something does define it, the error is
// ErrNotServed.
func (s *Source) Live(ctx context.Context, key template.Key, version string) (*metav1.PartialObjectMetadata, error) {
	if kind, ok := s.Kind(key.GroupKind()); ok {
		live, err := s.metadata.Resource(kind.Resource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if apierrors.IsUnexpectedServerError(err) {
			// A path that is not served, or a proxy in between, says nothing about
			// the object.
			return nil, fmt.Errorf("get %s: unexpected answer: %s", key, err.Error())
		}
		return live, err
	}
	defined, err := s.defined(ctx, key.GroupKind(), version)
	switch {
	case err != nil:
		return nil, err
	case defined:
		return nil, fmt.Errorf("get %s: %w", key, ErrNotServed)
	default:
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: key.Group, Resource: key.Kind}, key.Name)
	}
}

// defined reports whether something in the fleet defines the kind: the fleet
// itself, an aggregated API server, or a CustomResourceDefinition.
func (s *Source) defined(ctx context.Context, kind schema.GroupKind, version string) (bool, error) {
	if scheme.Scheme.IsGroupRegistered(kind.Group) || kind.Group == customResourceDefinition.Group {
		return true, nil
	}
	service, err := s.dynamic.Resource(apiServices).Get(ctx, version+"."+kind.Group, metav1.GetOptions{})
	if err != nil && (!apierrors.IsNotFound(err) || apierrors.IsUnexpectedServerError(err)) {
		return false, fmt.Errorf("find out who serves %s: %w", kind, err)
	}
	if err == nil {
		if _, aggregated, _ := unstructured.NestedMap(service.Object, "spec", "service"); aggregated {
			return true, nil
		}
	}
	list, err := s.dynamic.Resource(definitions).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("find out who defines %s: %w", kind, err)
	}
	for i := range list.Items {
		spec := list.Items[i].Object
		group, _, _ := unstructured.NestedString(spec, "spec", "group")
		name, _, _ := unstructured.NestedString(spec, "spec", "names", "kind")
		if group == kind.Group && name == kind.Kind {
			return true, nil
		}
	}
	return false, nil
}
