// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"fleet.dev/fleet/pkg/apis/work"
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
	}, newStrategy(typer, true), getter)
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
	}, newStrategy(typer, false), getter)
}

func newStorage(definition resource.Definition, strategy resource.Strategy[work.Binding], getter generic.RESTOptionsGetter) (*Storage, error) {
	store, err := resource.NewREST(definition, strategy, getter)
	if err != nil {
		return nil, err
	}
	return &Storage{
		Binding:  &REST{store},
		Status:   resource.NewStatusREST(store, newStatusStrategy(strategy)),
		Feedback: store.WithStrategy(newFeedbackStrategy(strategy)),
	}, nil
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

func refuseUnlessEmpty(resource string, b work.Binding) error {
	spec := b.GetSpec()
	template := fmt.Sprintf("%s %q", spec.Resource.Kind, spec.Resource.Name)
	var why string
	switch {
	case len(holders(spec)) > 0:
		why = fmt.Sprintf("it places %s on %d member(s); delete the %s instead, the binding goes when every member has removed it",
			template, len(holders(spec)), spec.Resource.Kind)
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

var columns = []table.Column{
	{Name: "Kind", Description: "Kind of the template."},
	{Name: "Template", Description: "Name of the template."},
	{Name: "Clusters", Description: "Members and how many replicas each runs; members with a minus are being cleaned up."},
	{Name: "Scheduled", Description: "Whether the scheduler has decided; otherwise why not."},
	{Name: "Applied", Description: "Members that have taken the object / members decided upon."},
	{Name: "Policy", Description: "Policy that placed the template.", Wide: true},
}

func cells(b work.Binding) []any {
	spec, status := b.GetSpec(), b.GetStatus()
	var members []string
	for _, target := range spec.Clusters {
		text := target.Name
		if target.Replicas > 0 {
			text = fmt.Sprintf("%s=%d", target.Name, target.Replicas)
		}
		members = append(members, text)
	}
	for _, tombstone := range spec.Tombstones {
		members = append(members, "-"+tombstone.ClusterName)
	}
	applied := 0
	for _, item := range status.AggregatedStatus {
		if item.Applied {
			applied++
		}
	}
	scheduled := table.Unknown
	if condition := meta.FindStatusCondition(status.Conditions, work.ConditionScheduled); condition != nil {
		scheduled = string(condition.Status)
		if condition.Status != metav1.ConditionTrue {
			scheduled = condition.Reason
		}
	}
	policy := table.None
	if spec.Policy != nil {
		policy = strings.TrimPrefix(spec.Policy.Namespace+"/"+spec.Policy.Name, "/")
	}
	clusters := table.None
	if len(members) > 0 {
		clusters = strings.Join(members, ",")
	}
	return []any{spec.Resource.Kind, spec.Resource.Name, clusters, scheduled, fmt.Sprintf("%d/%d", applied, len(spec.Clusters)), policy}
}
