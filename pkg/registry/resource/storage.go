// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Definition is a resource.
type Definition struct {
	Resource   schema.GroupResource
	Singular   string
	ShortNames []string
	New        func() runtime.Object
	NewList    func() runtime.Object
	Columns    rest.TableConvertor
	// Fields adds the field labels of an object to its name and namespace. The
	// version served has to know them too. Nil means none.
	Fields func(runtime.Object, fields.Set)
}

// Lifecycle is everything a strategy decides.
type Lifecycle interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
	rest.RESTDeleteStrategy
	rest.ResetFieldsStrategy
}

// REST is the stored resource.
type REST struct {
	*genericregistry.Store

	shortNames []string
}

var (
	_ rest.StandardStorage    = &REST{}
	_ rest.CategoriesProvider = &REST{}
	_ rest.ShortNamesProvider = &REST{}
)

// NewREST returns the storage of a resource.
func NewREST(definition Definition, strategy Lifecycle, getter generic.RESTOptionsGetter) (*REST, error) {
	store := &genericregistry.Store{
		NewFunc:                   definition.New,
		NewListFunc:               definition.NewList,
		DefaultQualifiedResource:  definition.Resource,
		SingularQualifiedResource: schema.GroupResource{Group: definition.Resource.Group, Resource: definition.Singular},
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		ResetFieldsStrategy:       strategy,
		TableConvertor:            definition.Columns,
	}
	options := &generic.StoreOptions{RESTOptions: getter, AttrFunc: Attributes(strategy.NamespaceScoped(), definition.Fields)}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, fmt.Errorf("make storage of %s: %w", definition.Resource, err)
	}
	return &REST{Store: store, shortNames: definition.ShortNames}, nil
}

// Categories puts the resource into `kubectl get fleet`.
func (r *REST) Categories() []string { return []string{wellknown.Category} }

// ShortNames are what kubectl users may type.
func (r *REST) ShortNames() []string { return r.shortNames }

// WithStrategy is the same storage updated by other rules, for a subresource or
// for the server's own use.
func (r *REST) WithStrategy(strategy Lifecycle) *genericregistry.Store {
	store := *r.Store
	store.UpdateStrategy = strategy
	store.ResetFieldsStrategy = strategy
	return &store
}

// StatusREST is the status subresource.
type StatusREST struct {
	store *genericregistry.Store
}

var (
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = &StatusREST{}
)

// NewStatusREST returns the status subresource of r.
func NewStatusREST(r *REST, strategy Lifecycle) *StatusREST {
	return &StatusREST{store: r.WithStrategy(strategy)}
}

// New returns an empty object.
func (r *StatusREST) New() runtime.Object { return r.store.New() }

// Destroy does nothing: the storage belongs to REST.
func (r *StatusREST) Destroy() {}

// Get returns the object, for a patch to start from.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// Update changes the status. It never creates.
//
//nolint:revive // the signature is upstream's rest.Updater
func (r *StatusREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields says which fields a status write does not own.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.store.GetResetFields()
}

// ConvertToTable prints the object after `kubectl ... --subresource=status`.
func (r *StatusREST) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, options)
}
