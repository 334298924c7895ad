// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package orphanintent

import (
	"context"
	"fmt"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/apiserver/admission/bindings"
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
	bindings.Client
}

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin without a client.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Update)} }

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	before, orphaned := orphans(a.GetOldObject(), a.GetObject())
	if !orphaned || a.IsDryRun() {
		return nil
	}
	// Without a binding for this very template it is in no member.
	of := p.Of(a.GetKind().GroupKind(), before)
	if _, err := of.Annotate(ctx, wellknown.AnnotationOrphanedTemplate, nil); err != nil {
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
