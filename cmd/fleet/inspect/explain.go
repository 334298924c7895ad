// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// provenance are the labels and annotations every object in a member carries.
var provenance = []string{
	wellknown.LabelManagedBy,
	wellknown.AnnotationFleetID, wellknown.AnnotationTemplateUID, wellknown.AnnotationBinding, wellknown.AnnotationPolicy, wellknown.AnnotationOverrides,
}

// Explain decides anew about a target, with what the fleet has now, and says how.
func (f *Fleet) Explain(ctx context.Context, target *Target) (*scheduler.Explanation, error) {
	kind := source.KindOf(target.Kind.GroupVersionKind, target.Kind.Resource, target.Kind.Scope.Name() == meta.RESTScopeNameNamespace)
	by, err := f.Interpreter(ctx)
	if err != nil {
		return nil, err
	}
	kind = kind.Interpreted(by)
	read, err := source.Read(kind, target.Object)
	if err != nil {
		return nil, err
	}
	state := scheduler.State{Template: read, Kind: kind}
	if state.Namespace, err = f.namespace(ctx, read.Namespace); err != nil {
		return nil, err
	}
	if err := f.collect(ctx, &state); err != nil {
		return nil, err
	}
	if err := f.collectBindings(ctx, &state); err != nil {
		return nil, err
	}
	return scheduler.Explain(ctx, state)
}

func (f *Fleet) namespace(ctx context.Context, name string) (*template.Template, error) {
	if name == "" {
		return nil, nil
	}
	object, err := f.Objects.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get namespace %q: %w", name, err)
	}
	return source.Read(source.KindOf(namespaces.GroupVersion().WithKind("Namespace"), namespaces, false), object)
}

// collect reads members and policies.
func (f *Fleet) collect(ctx context.Context, state *scheduler.State) error {
	clusters, err := f.Own.ClusterV1alpha1().Clusters().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list clusters: %w", err)
	}
	for i := range clusters.Items {
		state.Clusters = append(state.Clusters, &clusters.Items[i])
	}
	policies := f.Own.PolicyV1alpha1()
	wide, err := policies.ClusterPropagationPolicies().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list cluster propagation policies: %w", err)
	}
	for i := range wide.Items {
		state.Propagations = append(state.Propagations, &wide.Items[i])
	}
	overrides, err := policies.ClusterOverridePolicies().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list cluster override policies: %w", err)
	}
	for i := range overrides.Items {
		state.Overrides = append(state.Overrides, &overrides.Items[i])
	}
	if state.Template.Namespace == "" {
		return nil
	}
	own, err := policies.PropagationPolicies(state.Template.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list propagation policies: %w", err)
	}
	for i := range own.Items {
		state.Propagations = append(state.Propagations, &own.Items[i])
	}
	ownOverrides, err := policies.OverridePolicies(state.Template.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list override policies: %w", err)
	}
	for i := range ownOverrides.Items {
		state.Overrides = append(state.Overrides, &ownOverrides.Items[i])
	}
	return nil
}

// collectBindings reads the bindings of the namespace, which say where it has
// workloads. For a Namespace that is the one it is.
func (f *Fleet) collectBindings(ctx context.Context, state *scheduler.State) error {
	namespace := state.Template.Namespace
	if state.Template.Kind.GroupKind() == (schema.GroupKind{Kind: "Namespace"}) {
		namespace = state.Template.Name
	}
	if namespace != "" {
		bindings, err := f.Own.WorkV1alpha1().ResourceBindings(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list bindings: %w", err)
		}
		for i := range bindings.Items {
			state.Bindings = append(state.Bindings, &bindings.Items[i])
		}
	}
	if state.Template.Namespace != "" {
		return nil
	}
	bindings, err := f.Own.WorkV1alpha1().ClusterResourceBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list bindings: %w", err)
	}
	for i := range bindings.Items {
		state.Bindings = append(state.Bindings, &bindings.Items[i])
	}
	return nil
}
