// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"
	"hash/fnv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	workclient "fleet.dev/fleet/pkg/generated/clientset/versioned/typed/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// templates is what the scheduler asks about templates; source.Source answers.
type templates interface {
	Get(key template.Key) *template.Template
	Kind(kind schema.GroupKind) (source.Kind, bool)
	Listed(kind schema.GroupKind) bool
	InNamespace(namespace string) []*template.Template
	Matching(selectors []policy.Selector) map[template.Key]*template.Template
	Live(ctx context.Context, key template.Key) (*metav1.PartialObjectMetadata, error)
}

// memberReader reads Clusters from the fleet itself.
type memberReader interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (*clusterv1alpha1.Cluster, error)
}

// bindingClient reads and writes bindings of both scopes.
type bindingClient interface {
	Get(ctx context.Context, namespace, name string) (workv1alpha1.Binding, error)
	Create(ctx context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error)
	Patch(ctx context.Context, binding workv1alpha1.Binding, patch []byte) (workv1alpha1.Binding, error)
	UpdateStatus(ctx context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error)
	Delete(ctx context.Context, binding workv1alpha1.Binding) error
}

// fleetBindings is the bindingClient of a fleet.
type fleetBindings struct {
	client workclient.WorkV1alpha1Interface
}

var _ bindingClient = fleetBindings{}

// Get reads a binding.
func (f fleetBindings) Get(ctx context.Context, namespace, name string) (workv1alpha1.Binding, error) {
	if namespace == "" {
		return found(f.client.ClusterResourceBindings().Get(ctx, name, metav1.GetOptions{}))
	}
	return found(f.client.ResourceBindings(namespace).Get(ctx, name, metav1.GetOptions{}))
}

// Create creates a binding.
func (f fleetBindings) Create(ctx context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	switch b := binding.(type) {
	case *workv1alpha1.ClusterResourceBinding:
		return found(f.client.ClusterResourceBindings().Create(ctx, b, metav1.CreateOptions{}))
	case *workv1alpha1.ResourceBinding:
		return found(f.client.ResourceBindings(b.Namespace).Create(ctx, b, metav1.CreateOptions{}))
	default:
		return nil, fmt.Errorf("create binding: %T is none", binding)
	}
}

// Patch applies a JSON patch to a binding.
func (f fleetBindings) Patch(ctx context.Context, binding workv1alpha1.Binding, patch []byte) (workv1alpha1.Binding, error) {
	name, namespace := binding.GetName(), binding.GetNamespace()
	if namespace == "" {
		return found(f.client.ClusterResourceBindings().Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{}))
	}
	return found(f.client.ResourceBindings(namespace).Patch(ctx, name, types.JSONPatchType, patch, metav1.PatchOptions{}))
}

// UpdateStatus writes the status of a binding.
func (f fleetBindings) UpdateStatus(ctx context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	switch b := binding.(type) {
	case *workv1alpha1.ClusterResourceBinding:
		return found(f.client.ClusterResourceBindings().UpdateStatus(ctx, b, metav1.UpdateOptions{}))
	case *workv1alpha1.ResourceBinding:
		return found(f.client.ResourceBindings(b.Namespace).UpdateStatus(ctx, b, metav1.UpdateOptions{}))
	default:
		return nil, fmt.Errorf("update status of binding: %T is none", binding)
	}
}

// Delete deletes this very binding.
func (f fleetBindings) Delete(ctx context.Context, binding workv1alpha1.Binding) error {
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(binding.GetUID()))}
	if binding.GetNamespace() == "" {
		return f.client.ClusterResourceBindings().Delete(ctx, binding.GetName(), options)
	}
	return f.client.ResourceBindings(binding.GetNamespace()).Delete(ctx, binding.GetName(), options)
}

// found keeps a nil pointer from becoming an interface that is not nil.
func found[B workv1alpha1.Binding](binding B, err error) (workv1alpha1.Binding, error) {
	if err != nil {
		return nil, err
	}
	return binding, nil
}

// newBinding makes the binding of a template.
func newBinding(key template.Key, spec workv1alpha1.BindingSpec) workv1alpha1.Binding {
	meta := metav1.ObjectMeta{
		Namespace: key.Namespace,
		Name:      workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name),
		Labels: map[string]string{
			wellknown.LabelTemplateKind: key.Kind,
			wellknown.LabelTemplateName: labelValue(key.Name),
		},
	}
	if key.Namespace == "" {
		return &workv1alpha1.ClusterResourceBinding{ObjectMeta: meta, Spec: spec}
	}
	return &workv1alpha1.ResourceBinding{ObjectMeta: meta, Spec: spec}
}

// labelValue returns a name, or a hash of it where it is no label value.
func labelValue(name string) string {
	if len(validation.IsValidLabelValue(name)) == 0 {
		return name
	}
	hash := fnv.New32a()
	hash.Write([]byte(name)) // a hash never fails to write
	return fmt.Sprintf("%08x", hash.Sum32())
}
