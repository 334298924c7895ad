// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// definition is what matters of a CustomResourceDefinition.
type definition struct {
	kind       schema.GroupKind
	namespaced bool
	// sameShape says that versions differ in nothing but their name, so that an
	// object may be moved between the served ones.
	sameShape bool
	served    []string
	resource  *resource
}

// newDefinition decodes a stored CustomResourceDefinition. One whose names were
// not accepted yet serves nothing and has no kind.
func (c *Capture) newDefinition(ctx context.Context, key string, stored []byte) (*definition, error) {
	object, err := c.resource(definitionsResource).decode(ctx, key, stored)
	if err != nil {
		return nil, err
	}
	crd, ok := object.(*apiextensions.CustomResourceDefinition)
	if !ok {
		return nil, fmt.Errorf("decode %q: %T is no CustomResourceDefinition", key, object)
	}
	made := &definition{
		kind:       schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Status.AcceptedNames.Kind},
		namespaced: crd.Spec.Scope == apiextensions.NamespaceScoped,
		sameShape:  crd.Spec.Conversion == nil || crd.Spec.Conversion.Strategy == apiextensions.NoneConverter,
	}
	for _, version := range crd.Spec.Versions {
		if version.Served {
			made.served = append(made.served, version.Name)
		}
	}
	made.resource, err = c.customResource(schema.GroupResource{Group: crd.Spec.Group, Resource: crd.Spec.Names.Plural})
	return made, err
}

// equal says whether templates of the kind are read the same.
func (d *definition) equal(other *definition) bool {
	return d != nil && other != nil && d.kind == other.kind && d.namespaced == other.namespaced &&
		d.sameShape == other.sameShape && d.resource.groupResource == other.resource.groupResource &&
		slices.Equal(d.served, other.served)
}

// key is the etcd key of a custom resource.
func (d *definition) key(namespace, name string) (string, error) {
	if !d.namespaced {
		namespace = ""
	}
	if d.namespaced && namespace == "" {
		return "", errors.New("namespace has to be set")
	}
	return d.resource.key(namespace, name)
}

// unstructured decodes a stored custom resource, see the package on versions.
func (d *definition) unstructured(ctx context.Context, key string, stored []byte, version schema.GroupVersion) (*unstructured.Unstructured, error) {
	object, err := d.resource.decode(ctx, key, stored)
	if err != nil {
		return nil, err
	}
	custom, ok := object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("decode %q: %T is not unstructured", key, object)
	}
	if d.sameShape && slices.Contains(d.served, version.Version) {
		custom.SetAPIVersion(version.String())
	}
	return custom, nil
}
