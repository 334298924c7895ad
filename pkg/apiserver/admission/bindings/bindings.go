// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package bindings

import (
	"context"
	"encoding/json"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Client is what a plugin embeds that is initialized with a client of the fleet.
type Client struct{ fleet dynamic.Interface }

var (
	_ admission.InitializationValidator = &Client{}
	_ initializer.WantsDynamicClient    = &Client{}
)

// SetDynamicClient implements initializer.WantsDynamicClient.
func (c *Client) SetDynamicClient(client dynamic.Interface) { c.fleet = client }

// ValidateInitialization implements admission.InitializationValidator.
func (c *Client) ValidateInitialization() error {
	if c.fleet == nil {
		return errors.New("a client is missing")
	}
	return nil
}

// Of is the binding of one template.
type Of struct {
	fleetClient dynamic.ResourceInterface
	name        string
	template    types.UID
}

// Of returns the binding of a template of that kind.
func (c *Client) Of(kind schema.GroupKind, template metav1.Object) *Of {
	of := &Of{name: workv1alpha1.BindingNameForGroupKind(kind, template.GetName()), template: template.GetUID()}
	if namespace := template.GetNamespace(); namespace != "" {
		of.fleetClient = c.fleet.Resource(workv1alpha1.SchemeGroupVersion.WithResource("resourcebindings")).Namespace(namespace)
	} else {
		of.fleetClient = c.fleet.Resource(workv1alpha1.SchemeGroupVersion.WithResource("clusterresourcebindings"))
	}
	return of
}

// Get returns the binding, nil when there is none or it is about another template
// of the name.
func (o *Of) Get(ctx context.Context) (*unstructured.Unstructured, error) {
	binding, err := o.fleetClient.Get(ctx, o.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if uid, _, _ := unstructured.NestedString(binding.Object, "spec", "resource", "uid"); uid != string(o.template) {
		return nil, nil
	}
	return binding, nil
}

// Annotate writes the uid of the template into an annotation of the binding, if
// there is a binding and wanted says yes to it; nil is always yes. It returns the
// binding as wanted saw it.
func (o *Of) Annotate(ctx context.Context, annotation string, wanted func(*unstructured.Unstructured) bool) (binding *unstructured.Unstructured, err error) {
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		binding, err = o.Get(ctx)
		switch {
		case err != nil, binding == nil, wanted != nil && !wanted(binding):
			return err
		case binding.GetAnnotations()[annotation] == string(o.template):
			return nil
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": binding.GetUID(), "resourceVersion": binding.GetResourceVersion(),
			"annotations": map[string]any{annotation: string(o.template)},
		}})
		if err != nil {
			return err
		}
		_, err = o.fleetClient.Patch(ctx, o.name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	return binding, err
}
