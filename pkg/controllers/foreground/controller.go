// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package foreground

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/loop"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// workers is how many templates are looked at together.
const workers = 2

// Dependencies is what the controller is made from. All are required.
type Dependencies struct {
	// Templates reads and patches templates of any kind.
	Templates metadata.Interface
	Mapper    meta.RESTMapper
	// FleetInformers gives bindings with what Trim of package cluster leaves of them.
	FleetInformers fleetinformers.SharedInformerFactory
	Clock          clock.WithTicker
}

// Controller ends deletions in the foreground.
type Controller struct {
	templates metadata.Interface
	mapper    meta.RESTMapper
	loop      *loop.Loop // of templates, see encode
}

// New returns a controller. It adds handlers to the informers, which must not run
// yet.
func New(d Dependencies) (*Controller, error) {
	c := &Controller{templates: d.Templates, mapper: d.Mapper}
	c.loop = loop.New(loop.Config{
		Name: "foreground", Key: "template", Workers: workers, Clock: d.Clock,
		Reconcile: func(ctx context.Context, name string) (time.Duration, error) { return 0, c.reconcile(ctx, name) },
	})
	work := d.FleetInformers.Work().V1alpha1()
	for _, informer := range []cache.SharedIndexInformer{work.ResourceBindings().Informer(), work.ClusterResourceBindings().Informer()} {
		if err := c.loop.Watch(informer, cache.ResourceEventHandlerFuncs{DeleteFunc: c.bindingGone}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Run serves until ctx ends.
func (c *Controller) Run(ctx context.Context) { c.loop.Run(ctx) }

// bindingGone has the template of a binding looked at if it waits for that.
func (c *Controller) bindingGone(object any) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	binding, ok := object.(workv1alpha1.Binding)
	if !ok {
		return
	}
	of := binding.GetSpec().Resource
	if waits := binding.GetAnnotations()[wellknown.AnnotationForegroundTemplate]; waits == "" || waits != string(of.UID) {
		return
	}
	if name, err := json.Marshal(of); err == nil {
		c.loop.Queue.Add(string(name))
	}
}

// reconcile takes the finalizer off a template, which name is the reference to.
func (c *Controller) reconcile(ctx context.Context, name string) error {
	var of workv1alpha1.ObjectReference
	if err := json.Unmarshal([]byte(name), &of); err != nil {
		return fmt.Errorf("read reference to template %s: %w", name, err)
	}
	kind := schema.FromAPIVersionAndKind(of.APIVersion, of.Kind)
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return nil // the kind went, and the template with it
	}
	if err != nil {
		return fmt.Errorf("find %s: %w", kind, err)
	}
	templates := metadata.ResourceInterface(c.templates.Resource(mapping.Resource))
	if of.Namespace != "" {
		templates = c.templates.Resource(mapping.Resource).Namespace(of.Namespace)
	}
	live, err := templates.Get(ctx, of.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get %s %s/%s: %w", of.Kind, of.Namespace, of.Name, err)
	}
	patch, err := withoutFinalizer(live, of.UID)
	if patch == nil || err != nil {
		return err
	}
	_, err = templates.Patch(ctx, of.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("take finalizer %s off %s %s/%s: %w", metav1.FinalizerDeleteDependents, of.Kind, of.Namespace, of.Name, err)
	}
	return nil
}

// withoutFinalizer returns the patch that takes the finalizer off the template with
// the uid, nil when it waits for nothing.
func withoutFinalizer(live *metav1.PartialObjectMetadata, uid types.UID) ([]byte, error) {
	if live.UID != uid || live.DeletionTimestamp == nil || !slices.Contains(live.Finalizers, metav1.FinalizerDeleteDependents) {
		return nil, nil
	}
	rest := slices.DeleteFunc(slices.Clone(live.Finalizers), func(f string) bool { return f == metav1.FinalizerDeleteDependents })
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": live.UID, "resourceVersion": live.ResourceVersion, "finalizers": rest,
	}})
}
