// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"
)

// resource says how the objects of one resource are stored. It is immutable.
type resource struct {
	groupResource schema.GroupResource
	kind          schema.GroupKind
	root          string // of the keys of all resources in etcd, "/registry"
	keyPrefix     string // of the keys of the resource, "/registry/deployments/"
	transport     storagebackend.TransportConfig
	codec         runtime.Codec
	transformer   value.Transformer
	scheme        *runtime.Scheme // nil for custom resources

	// relativeKey is the key of an object below root.
	relativeKey func(namespace, name string) (string, error)
}

// key is the etcd key of an object.
func (r *resource) key(namespace, name string) (string, error) {
	relative, err := r.relativeKey(namespace, name)
	if err != nil {
		return "", err
	}
	return r.root + relative, nil
}

// decode decrypts and decodes a stored object.
func (r *resource) decode(ctx context.Context, key string, stored []byte) (runtime.Object, error) {
	data, _, err := r.transformer.TransformFromStorage(ctx, stored, storageKey(key))
	if err != nil {
		return nil, fmt.Errorf("decrypt %q: %w", key, err)
	}
	object, err := runtime.Decode(r.codec, data)
	if err != nil {
		return nil, fmt.Errorf("decode %q: %w", key, err)
	}
	return object, nil
}

// convert turns a decoded object into its external version.
func (r *resource) convert(object runtime.Object, version schema.GroupVersion) (runtime.Object, error) {
	converted, err := r.scheme.ConvertToVersion(object, version)
	if err != nil {
		return nil, fmt.Errorf("convert %s to %s: %w", r.groupResource, version, err)
	}
	return converted, nil
}

// unstructured decodes a stored native object and turns it into the external
// version.
func (r *resource) unstructured(ctx context.Context, key string, stored []byte, version schema.GroupVersion) (*unstructured.Unstructured, error) {
	object, err := r.decode(ctx, key, stored)
	if err != nil {
		return nil, err
	}
	converted, err := r.convert(object, version)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(converted)
	if err != nil {
		return nil, fmt.Errorf("convert %q to unstructured: %w", key, err)
	}
	return &unstructured.Unstructured{Object: content}, nil
}
