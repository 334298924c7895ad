// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// KindOf returns what is known about a kind that somebody else discovered, but for
// customizations.
func KindOf(version schema.GroupVersionKind, resource schema.GroupVersionResource, namespaced bool) Kind {
	custom := !scheme.Scheme.IsGroupRegistered(version.Group) && version.GroupKind() != customResourceDefinition
	return Kind{
		Kind:       template.KindOf(version, namespaced, custom),
		Version:    version,
		Resource:   resource,
		Namespaced: namespaced,
		Custom:     custom,
		Versions:   nativeVersions(version),
	}
}

// Interpreted is the kind with what customizations say of it. Native kinds need none.
func (k Kind) Interpreted(by *interpreter.Interpreter) Kind {
	if k.Custom {
		k.Kind = k.Kind.Interpreted(k.Version, by)
	}
	return k
}

// Read makes the template of an object, as a Source would.
func Read(kind Kind, object *unstructured.Unstructured) (*template.Template, error) {
	if kind.Read == nil {
		return template.New(kind.Version, object, template.Traits{}), nil
	}
	if kind.Custom {
		return template.New(kind.Version, object, kind.Read(object)), nil
	}
	typed, err := scheme.Scheme.New(kind.Version)
	if err != nil {
		return nil, fmt.Errorf("read %s %q: %w", kind.Version.Kind, object.GetName(), err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return nil, fmt.Errorf("read %s %q: %w", kind.Version.Kind, object.GetName(), err)
	}
	return template.New(kind.Version, object, kind.Read(typed)), nil
}
