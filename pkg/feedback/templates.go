// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// dynamicTemplates reaches templates of any kind through a client.
type dynamicTemplates struct {
	fleetClient dynamic.Interface
	mapper      meta.RESTMapper
}

// NewTemplates returns Templates over a client of the fleet, the loopback client
// inside the API server. Reads that need not be live come from the watch cache.
func NewTemplates(fleetClient dynamic.Interface, mapper meta.RESTMapper) Templates {
	return &dynamicTemplates{fleetClient: fleetClient, mapper: mapper}
}

// Get implements Templates.
func (t *dynamicTemplates) Get(ctx context.Context, template workv1alpha1.ObjectReference, live bool) (*unstructured.Unstructured, error) {
	resource, err := t.resource(schema.FromAPIVersionAndKind(template.APIVersion, template.Kind), template.Namespace)
	if err != nil {
		return nil, err
	}
	options := metav1.GetOptions{ResourceVersion: "0"}
	if live {
		options.ResourceVersion = ""
	}
	return resource.Get(ctx, template.Name, options)
}

// UpdateStatus implements Templates.
func (t *dynamicTemplates) UpdateStatus(ctx context.Context, template *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := t.resource(template.GroupVersionKind(), template.GetNamespace())
	if err != nil {
		return nil, err
	}
	return resource.UpdateStatus(ctx, template, metav1.UpdateOptions{FieldManager: managerOf(template.GroupVersionKind().GroupKind())})
}

// Field managers of the status of templates.
const (
	// manager is the one of kinds about which no controller of every cluster reports.
	manager = "fleet-feedback"
	// ofControllers and ofNodes are those of a cluster: tools are told by these names
	// which fields are not the user's.
	ofControllers = "kube-controller-manager"
	ofNodes       = "kubelet"
)

// managerOf returns who manages the status of a kind in a cluster.
func managerOf(kind schema.GroupKind) string {
	switch kind.Group {
	case "apps", "batch", "autoscaling", "policy":
		return ofControllers
	case "":
		switch kind.Kind {
		case "Pod":
			return ofNodes
		case "PersistentVolumeClaim", "ReplicationController":
			return ofControllers
		}
	}
	return manager
}

func (t *dynamicTemplates) resource(kind schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := t.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, "")
	}
	if err != nil {
		return nil, fmt.Errorf("find resource of kind %s: %w", kind.Kind, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return t.fleetClient.Resource(mapping.Resource).Namespace(namespace), nil
	}
	return t.fleetClient.Resource(mapping.Resource), nil
}
