// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Storage is the registry of one scope of bindings, with the strategy that lets
// feedback write the status and remove tombstones.
type Storage interface {
	rest.Getter
	rest.Updater
}

// registryBindings reaches bindings in this process, without going through HTTP.
type registryBindings struct {
	scheme     *runtime.Scheme
	namespaced Storage
	cluster    Storage
}

// NewBindings returns Bindings over the registries of ResourceBindings and
// ClusterResourceBindings of this API server. The scheme converts between their
// internal and v1alpha1 types.
func NewBindings(scheme *runtime.Scheme, namespaced, cluster Storage) Bindings {
	return &registryBindings{scheme: scheme, namespaced: namespaced, cluster: cluster}
}

// storage returns the registry for the scope of a name. Registries of both scopes
// ask the context for the namespace of the request.
func (b *registryBindings) storage(ctx context.Context, namespace string) (context.Context, Storage) {
	ctx = genericapirequest.WithNamespace(ctx, namespace)
	if namespace == "" {
		return ctx, b.cluster
	}
	return ctx, b.namespaced
}

// Get implements Bindings.
func (b *registryBindings) Get(ctx context.Context, name types.NamespacedName, live bool) (workv1alpha1.Binding, error) {
	options := &metav1.GetOptions{ResourceVersion: "0"}
	if live {
		options.ResourceVersion = ""
	}
	ctx, storage := b.storage(ctx, name.Namespace)
	stored, err := storage.Get(ctx, name.Name, options)
	if err != nil {
		return nil, err
	}
	return b.versioned(stored)
}

// UpdateFeedback implements Bindings.
func (b *registryBindings) UpdateFeedback(ctx context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	internal, err := b.scheme.ConvertToVersion(binding, work.SchemeGroupVersion)
	if err != nil {
		return nil, fmt.Errorf("convert binding %q: %w", binding.GetName(), err)
	}
	ctx, storage := b.storage(ctx, binding.GetNamespace())
	stored, _, err := storage.Update(ctx, binding.GetName(), rest.DefaultUpdatedObjectInfo(internal),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return b.versioned(stored)
}

func (b *registryBindings) versioned(internal runtime.Object) (workv1alpha1.Binding, error) {
	converted, err := b.scheme.ConvertToVersion(internal, workv1alpha1.SchemeGroupVersion)
	if err != nil {
		return nil, fmt.Errorf("convert binding: %w", err)
	}
	binding, ok := converted.(workv1alpha1.Binding)
	if !ok {
		return nil, fmt.Errorf("convert binding: got a %T", converted)
	}
	return binding, nil
}
