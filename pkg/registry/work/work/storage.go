// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

// REST reads works: get, list and watch, and nothing else.
type REST struct {
	store *genericregistry.Store
}

var (
	_ rest.Storage             = &REST{}
	_ rest.Scoper              = &REST{}
	_ rest.Getter              = &REST{}
	_ rest.Lister              = &REST{}
	_ rest.Watcher             = &REST{}
	_ rest.CategoriesProvider  = &REST{}
	_ rest.StorageMetadata     = &REST{}
	_ rest.Patcher             = &StatusREST{}
	_ rest.ResetFieldsStrategy = strategy{}
)

// NewREST returns the resource and its status subresource, whose updates go to
// the sink.
func NewREST(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter, sink Sink) (*REST, *StatusREST, error) {
	strategy := strategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &work.Work{} },
		NewListFunc:               func() runtime.Object { return &work.WorkList{} },
		DefaultQualifiedResource:  work.Resource("works"),
		SingularQualifiedResource: work.Resource("work"),
		CreateStrategy:            strategy,
		UpdateStrategy:            strategy,
		DeleteStrategy:            strategy,
		TableConvertor:            table.New(columns, cells),
	}
	options := &generic.StoreOptions{RESTOptions: getter, AttrFunc: resource.Attributes(true, addFields)}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, nil, fmt.Errorf("make storage of works: %w", err)
	}
	return &REST{store}, &StatusREST{store: store, strategy: strategy, sink: sink}, nil
}

func addFields(obj runtime.Object, set fields.Set) {
	template := &obj.(*work.Work).Spec.Template
	set[workv1alpha1.WorkFieldKind] = template.Kind
	set[workv1alpha1.WorkFieldNamespace] = template.Namespace
	set[workv1alpha1.WorkFieldName] = template.Name
}

// New returns an empty Work.
func (r *REST) New() runtime.Object { return r.store.New() }

// NewList returns an empty list of works.
func (r *REST) NewList() runtime.Object { return r.store.NewList() }

// Destroy releases the storage.
func (r *REST) Destroy() { r.store.Destroy() }

// NamespaceScoped is true: each member has a namespace of its own.
func (r *REST) NamespaceScoped() bool { return true }

// GetSingularName returns "work".
func (r *REST) GetSingularName() string { return r.store.GetSingularName() }

// Categories puts works into `kubectl get fleet`.
func (r *REST) Categories() []string { return []string{wellknown.Category} }

// ProducesMIMETypes adds none.
func (r *REST) ProducesMIMETypes(string) []string { return nil }

// ProducesObject says what OpenAPI documents as the answer.
func (r *REST) ProducesObject(string) any { return workv1alpha1.Work{} }

// Get returns one work.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// List returns the selected works.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	return r.store.List(ctx, options)
}

// Watch follows the selected works.
func (r *REST) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	return r.store.Watch(ctx, options)
}

// ConvertToTable prints works in columns.
func (r *REST) ConvertToTable(ctx context.Context, object, options runtime.Object) (*metav1.Table, error) {
	return r.store.ConvertToTable(ctx, object, options)
}

// StatusREST takes the status of one work as a report of its member.
type StatusREST struct {
	store    *genericregistry.Store
	strategy strategy
	sink     Sink
}

// New returns an empty Work.
func (r *StatusREST) New() runtime.Object { return r.store.New() }

// Destroy does nothing: the storage belongs to REST.
func (r *StatusREST) Destroy() {}

// Get returns the work, for a patch to start from.
func (r *StatusREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return r.store.Get(ctx, name, options)
}

// GetResetFields says which fields a status update does not own.
func (r *StatusREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return r.strategy.GetResetFields()
}

// Update hands the new status to the sink. The work in the answer carries the
// status as it was reported.
//
//nolint:revive // the signature is upstream's rest.Updater
func (r *StatusREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, validate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	old, err := r.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	updated, err := info.UpdatedObject(ctx, old)
	if err != nil {
		return nil, false, err
	}
	if err := rest.BeforeUpdate(r.strategy, ctx, updated, old); err != nil {
		return nil, false, err
	}
	if validate != nil {
		if err := validate(ctx, updated.DeepCopyObject(), old.DeepCopyObject()); err != nil {
			return nil, false, err
		}
	}
	reported := updated.(*work.Work)
	if len(options.DryRun) > 0 {
		return reported, false, nil
	}
	return reported, false, r.report(ctx, reported)
}

func (r *StatusREST) report(ctx context.Context, reported *work.Work) error {
	member, ok := clusterv1alpha1.ClusterOfNamespace(reported.Namespace)
	if !ok {
		return apierrors.NewBadRequest(fmt.Sprintf("namespace %q is not that of a member", reported.Namespace))
	}
	item, err := feedbackItem(reported)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	results, err := r.sink.Accept(ctx, member, []workv1alpha1.FeedbackItem{item})
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if len(results) != 1 {
		return apierrors.NewInternalError(fmt.Errorf("one report of work %q got %d results", reported.Name, len(results)))
	}
	if result := results[0]; !result.Accepted {
		return apierrors.NewConflict(r.store.DefaultQualifiedResource, reported.Name, fmt.Errorf("%s: %s", result.Reason, result.Message))
	}
	return nil
}
