// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/registry/table"
)

// REST is the resource of one scope. It refuses to delete a binding that stands
// for objects in members.
type REST struct {
	*resource.REST
}

// Storage is everything the two scopes serve.
type Storage struct {
	Binding *REST
	Status  *resource.StatusREST
	// Tombstones takes tombstones away that no member will confirm.
	Tombstones *resource.StatusREST
	// Feedback writes status and confirmed tombstones. It is not served: only the
	// intake of feedback uses it.
	Feedback *genericregistry.Store
}

// NewStorage returns ResourceBindings.
func NewStorage(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*Storage, error) {
	return newStorage(resource.Definition{
		Resource:   work.Resource("resourcebindings"),
		Singular:   "resourcebinding",
		ShortNames: []string{"rb"},
		New:        func() runtime.Object { return &work.ResourceBinding{} },
		NewList:    func() runtime.Object { return &work.ResourceBindingList{} },
		Columns:    table.New(columns, cells),
		Fields:     addFields,
	}, newStrategy(typer, true, clock.RealClock{}), getter)
}

// NewClusterStorage returns ClusterResourceBindings.
func NewClusterStorage(typer runtime.ObjectTyper, getter generic.RESTOptionsGetter) (*Storage, error) {
	return newStorage(resource.Definition{
		Resource:   work.Resource("clusterresourcebindings"),
		Singular:   "clusterresourcebinding",
		ShortNames: []string{"crb"},
		New:        func() runtime.Object { return &work.ClusterResourceBinding{} },
		NewList:    func() runtime.Object { return &work.ClusterResourceBindingList{} },
		Columns:    table.New(columns, cells),
		Fields:     addFields,
	}, newStrategy(typer, false, clock.RealClock{}), getter)
}

func newStorage(definition resource.Definition, strategy resource.Strategy[work.Binding], getter generic.RESTOptionsGetter) (*Storage, error) {
	store, err := resource.NewREST(definition, strategy, getter)
	if err != nil {
		return nil, err
	}
	// A finalizer that goes would delete the binding past Delete below.
	store.ShouldDeleteDuringUpdate = emptyWhenFinalized
	return &Storage{
		Binding:    &REST{store},
		Status:     resource.NewStatusREST(store, newStatusStrategy(strategy)),
		Tombstones: resource.NewStatusREST(store, newTombstoneStrategy(strategy)),
		Feedback:   store.WithStrategy(newFeedbackStrategy(strategy)),
	}, nil
}

func addFields(obj runtime.Object, set fields.Set) {
	spec := obj.(work.Binding).GetSpec()
	set[workv1alpha1.BindingFieldKind] = spec.Resource.Kind
	set[workv1alpha1.BindingFieldName] = spec.Resource.Name
	set[workv1alpha1.BindingFieldSchedulerName] = spec.SchedulerName
}

// Delete removes a binding that stands for nothing in any member.
func (r *REST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	return r.REST.Delete(ctx, name, r.onlyEmpty(validate), options)
}

// DeleteCollection removes bindings that stand for nothing in any member and
// reports the first that does not.
func (r *REST) DeleteCollection(ctx context.Context, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *metainternalversion.ListOptions) (runtime.Object, error) {
	return r.REST.DeleteCollection(ctx, r.onlyEmpty(validate), options, list)
}

func (r *REST) onlyEmpty(validate rest.ValidateObjectFunc) rest.ValidateObjectFunc {
	return func(ctx context.Context, obj runtime.Object) error {
		if err := refuseUnlessEmpty(r.DefaultQualifiedResource.Resource, obj.(work.Binding)); err != nil {
			return err
		}
		if validate == nil {
			return nil
		}
		return validate(ctx, obj)
	}
}

// emptyWhenFinalized is upstream's rule for deleting with the last finalizer, for
// bindings that stand for nothing.
func emptyWhenFinalized(ctx context.Context, key string, obj, existing runtime.Object) bool {
	spec := obj.(work.Binding).GetSpec()
	return len(spec.Holders()) == 0 && len(spec.Tombstones) == 0 &&
		genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, existing)
}

func refuseUnlessEmpty(resource string, b work.Binding) error {
	spec := b.GetSpec()
	template := fmt.Sprintf("%s %q", spec.Resource.Kind, spec.Resource.Name)
	var why string
	switch {
	case len(spec.Holders()) > 0:
		why = fmt.Sprintf("it places %s on %d member(s); delete the %s instead, the binding goes when every member has removed it",
			template, len(spec.Holders()), spec.Resource.Kind)
	case len(spec.Tombstones) > 0:
		var members []string
		for _, tombstone := range spec.Tombstones {
			members = append(members, tombstone.ClusterName)
		}
		why = fmt.Sprintf("%s is still being removed from %s; the binding goes when they have confirmed it", template, strings.Join(members, ", "))
	default:
		return nil
	}
	return apierrors.NewConflict(work.Resource(resource), b.GetName(), fmt.Errorf("%s", why))
}
