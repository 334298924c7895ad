// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletionprotection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// PluginName is the name of the plugin in flags.
	PluginName = "DeletionProtection"
	// parallelLists is how many kinds of a namespace are looked through at a time.
	parallelLists = 8
)

// selector finds protected objects.
const selector = wellknown.LabelDeletionProtected + "=" + wellknown.DeletionProtectedAlways

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin refuses to delete what is protected.
type Plugin struct {
	*admission.Handler
	objects   dynamic.Interface
	discovery discovery.DiscoveryInterface
}

var (
	_ admission.ValidationInterface          = &Plugin{}
	_ admission.InitializationValidator      = &Plugin{}
	_ initializer.WantsDynamicClient         = &Plugin{}
	_ initializer.WantsExternalKubeClientSet = &Plugin{}
)

// New returns the plugin without clients.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Delete)} }

// SetDynamicClient implements initializer.WantsDynamicClient.
func (p *Plugin) SetDynamicClient(client dynamic.Interface) { p.objects = client }

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) {
	p.discovery = client.Discovery()
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.objects == nil || p.discovery == nil {
		return errors.New("a client is missing")
	}
	return nil
}

// Validate implements admission.ValidationInterface. It is called with each object
// that a request deletes.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	object, err := meta.Accessor(a.GetOldObject())
	if a.GetOldObject() == nil || err != nil || a.GetSubresource() != "" {
		return nil //nolint:nilerr // what has no metadata has no label
	}
	if object.GetLabels()[wellknown.LabelDeletionProtected] == wellknown.DeletionProtectedAlways {
		return admission.NewForbidden(a, fmt.Errorf("it is protected by the label %s; to delete it, remove the label first", selector))
	}
	if object.GetDeletionTimestamp() != nil {
		return nil // it is being deleted already
	}
	var protected []string
	switch a.GetResource().GroupResource() {
	case schema.GroupResource{Resource: "namespaces"}:
		protected, err = p.inNamespace(ctx, object.GetName())
	case apiextensions.Resource("customresourcedefinitions"):
		protected, err = p.ofDefinition(ctx, a.GetOldObject())
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("look for protected objects: %w", err))
	}
	if len(protected) > 0 {
		return admission.NewForbidden(a, fmt.Errorf("%s would be deleted with it and is protected by the label %s; to delete it, remove the label there first", protected[0], selector))
	}
	return nil
}

// inNamespace returns protected objects in a namespace, at most one of each kind,
// sorted.
func (p *Plugin) inNamespace(ctx context.Context, namespace string) ([]string, error) {
	// What an aggregated API that does not answer has is not the fleet's.
	lists, err := discovery.ServerPreferredNamespacedResources(p.discovery)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("discover what may be in namespace %q: %w", namespace, err)
	}
	resources := discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists)
	var kinds []schema.GroupVersionResource
	for _, list := range resources {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("read discovery: %w", err)
		}
		for i := range list.APIResources {
			kinds = append(kinds, gv.WithResource(list.APIResources[i].Name))
		}
	}
	found := make([][]string, len(kinds))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLists)
	for i, kind := range kinds {
		group.Go(func() (err error) {
			if found[i], err = p.list(ctx, p.objects.Resource(kind).Namespace(namespace)); err != nil {
				return fmt.Errorf("list %s: %w", kind.GroupResource(), err)
			}
			return nil
		})
	}
	err = group.Wait()
	protected := slices.Concat(found...)
	slices.Sort(protected)
	return protected, err
}

// ofDefinition returns a protected custom resource of a definition, if there is one.
func (p *Plugin) ofDefinition(ctx context.Context, object any) ([]string, error) {
	definition, ok := object.(*apiextensions.CustomResourceDefinition)
	if !ok {
		return nil, fmt.Errorf("expected a CustomResourceDefinition, got %T", object)
	}
	if !apiextensions.IsCRDConditionTrue(definition, apiextensions.Established) {
		return nil, nil // it never had any
	}
	version := slices.IndexFunc(definition.Spec.Versions, func(v apiextensions.CustomResourceDefinitionVersion) bool { return v.Served })
	if version < 0 {
		return nil, errors.New("no version is served, so nobody can tell; have one served")
	}
	resource := schema.GroupVersionResource{Group: definition.Spec.Group, Version: definition.Spec.Versions[version].Name, Resource: definition.Spec.Names.Plural}
	return p.list(ctx, p.objects.Resource(resource))
}

// list returns a protected object, if there is one, as "Kind namespace/name".
func (p *Plugin) list(ctx context.Context, objects dynamic.ResourceInterface) ([]string, error) {
	list, err := objects.List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: 1})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for i := range list.Items {
		found = append(found, nameOf(&list.Items[i]))
	}
	return found, nil
}

func nameOf(object *unstructured.Unstructured) string {
	name := object.GetName()
	if object.GetNamespace() != "" {
		name = object.GetNamespace() + "/" + name
	}
	return fmt.Sprintf("%s %q", cmp.Or(object.GetKind(), "object"), name)
}
