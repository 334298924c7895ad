// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package orphanintent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// PluginName is the name of the plugin in flags.
const PluginName = "OrphanIntent"

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin records in bindings which templates are deleted so that members keep
// their objects.
type Plugin struct {
	*admission.Handler
	fleetClient dynamic.Interface
}

var (
	_ admission.ValidationInterface     = &Plugin{}
	_ admission.InitializationValidator = &Plugin{}
	_ initializer.WantsDynamicClient    = &Plugin{}
)

// New returns the plugin without a client.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Update)} }

// SetDynamicClient implements initializer.WantsDynamicClient.
func (p *Plugin) SetDynamicClient(client dynamic.Interface) { p.fleetClient = client }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.fleetClient == nil {
		return errors.New("a client is missing")
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	before, orphaned := orphans(a.GetOldObject(), a.GetObject())
	if !orphaned || a.IsDryRun() {
		return nil
	}
	if err := p.record(ctx, a, before); err != nil {
		return apierrors.NewInternalError(fmt.Errorf("record that members keep the objects of %s %q: %w", a.GetKind().Kind, before.GetName(), err))
	}
	return nil
}

// orphans returns true when the update takes the finalizer orphan off an object
// that is being deleted.
func orphans(old, updated runtime.Object) (before metav1.Object, ok bool) {
	before, err := meta.Accessor(old)
	if err != nil || before.GetDeletionTimestamp() == nil || !hasFinalizer(before) {
		return nil, false
	}
	after, err := meta.Accessor(updated)
	return before, err == nil && !hasFinalizer(after)
}

func hasFinalizer(object metav1.Object) bool {
	return slices.Contains(object.GetFinalizers(), metav1.FinalizerOrphanDependents)
}

// record writes the uid of the template into its binding, if there is one for this
// very template: without, it is in no member.
func (p *Plugin) record(ctx context.Context, a admission.Attributes, of metav1.Object) error {
	kind := a.GetKind().GroupKind()
	resource := workv1alpha1.SchemeGroupVersion.WithResource("resourcebindings")
	if of.GetNamespace() == "" {
		resource = workv1alpha1.SchemeGroupVersion.WithResource("clusterresourcebindings")
	}
	bindings := dynamic.ResourceInterface(p.fleetClient.Resource(resource))
	if of.GetNamespace() != "" {
		bindings = p.fleetClient.Resource(resource).Namespace(of.GetNamespace())
	}
	name := workv1alpha1.BindingNameForGroupKind(kind, of.GetName())
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		binding, err := bindings.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if !isAbout(binding, of.GetUID()) || binding.GetAnnotations()[wellknown.AnnotationOrphanedTemplate] == string(of.GetUID()) {
			return nil
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": binding.GetUID(), "resourceVersion": binding.GetResourceVersion(),
			"annotations": map[string]any{wellknown.AnnotationOrphanedTemplate: string(of.GetUID())},
		}})
		if err != nil {
			return err
		}
		_, err = bindings.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
}

// isAbout returns true when the binding was made for the template with the uid, and
// not for another one of its name.
func isAbout(binding *unstructured.Unstructured, template types.UID) bool {
	uid, _, _ := unstructured.NestedString(binding.Object, "spec", "resource", "uid")
	return uid == string(template)
}
