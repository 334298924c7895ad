// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package workfeedback

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/apis/work/validation"
	workregistry "fleet.dev/fleet/pkg/registry/work/work"
)

// REST hands reports to a sink.
type REST struct {
	sink workregistry.Sink
}

var (
	_ rest.Storage              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.Creater              = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the resource.
func NewREST(sink workregistry.Sink) *REST { return &REST{sink} }

// New returns an empty WorkFeedback.
func (r *REST) New() runtime.Object { return &work.WorkFeedback{} }

// Destroy does nothing: there is no storage.
func (r *REST) Destroy() {}

// NamespaceScoped is true: the namespace says which member reports.
func (r *REST) NamespaceScoped() bool { return true }

// GetSingularName returns "workfeedback".
func (r *REST) GetSingularName() string { return "workfeedback" }

// Create takes a report and answers when its accepted items are durable.
func (r *REST) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	feedback, ok := obj.(*work.WorkFeedback)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("expected a WorkFeedback, got %T", obj))
	}
	feedback.Namespace = genericapirequest.NamespaceValue(ctx)
	if errs := validation.ValidateWorkFeedback(feedback); len(errs) > 0 {
		return nil, apierrors.NewInvalid(work.Kind("WorkFeedback"), feedback.Name, errs)
	}
	if validate != nil {
		if err := validate(ctx, feedback.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if len(options.DryRun) > 0 {
		return feedback, nil
	}
	return feedback, r.accept(ctx, feedback)
}

func (r *REST) accept(ctx context.Context, feedback *work.WorkFeedback) error {
	member, _ := clusterv1alpha1.ClusterOfNamespace(feedback.Namespace) // validated
	external := &workv1alpha1.WorkFeedback{}
	if err := workv1alpha1.Convert_work_WorkFeedback_To_v1alpha1_WorkFeedback(feedback, external, nil); err != nil {
		return apierrors.NewInternalError(err)
	}
	results, err := r.sink.Accept(ctx, member, external.Spec.Items)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("take feedback of member %q: %w", member, err))
	}
	external.Status.Results = results
	if err := workv1alpha1.Convert_v1alpha1_WorkFeedback_To_work_WorkFeedback(external, feedback, nil); err != nil {
		return apierrors.NewInternalError(err)
	}
	return nil
}
