// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package foreground

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/kubernetes/pkg/apis/batch"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/apiserver/admission/bindings"
)

// PluginName is the name of the plugin in flags.
const PluginName = "ForegroundDeletion"

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin keeps templates that are deleted in the foreground until their members have
// nothing of them any more.
type Plugin struct {
	*admission.Handler
	bindings.Client
}

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin without a client.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Update)} }

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetSubresource() != "" || a.IsDryRun() || a.GetUserInfo().GetName() != wellknown.UserControllerManager {
		return nil
	}
	before, ends := endsForeground(a.GetOldObject(), a.GetObject())
	if !ends || expires(a.GetOldObject()) {
		return nil
	}
	of := p.Of(a.GetKind().GroupKind(), before)
	binding, err := of.Annotate(ctx, wellknown.AnnotationForegroundTemplate, func(found *unstructured.Unstructured) bool {
		return len(holders(found)) > 0
	})
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("look which members have %s %q: %w", a.GetKind().Kind, before.GetName(), err))
	}
	if members := holders(binding); len(members) > 0 {
		return admission.NewForbidden(a, fmt.Errorf("it is deleted in the foreground, and not gone yet from %s", strings.Join(members, ", ")))
	}
	return nil
}

// expires returns true for a Job that upstream's controller of ttlSecondsAfterFinished
// deletes, in the foreground, though nobody waits for that.
func expires(object runtime.Object) bool {
	job, ok := object.(*batch.Job)
	return ok && job.Spec.TTLSecondsAfterFinished != nil && slices.ContainsFunc(job.Status.Conditions, func(c batch.JobCondition) bool {
		return (c.Type == batch.JobComplete || c.Type == batch.JobFailed) && c.Status == core.ConditionTrue
	})
}

// endsForeground returns true when the update takes the finalizer foregroundDeletion
// off an object that is being deleted.
func endsForeground(old, updated runtime.Object) (before metav1.Object, ok bool) {
	before, err := meta.Accessor(old)
	if err != nil || before.GetDeletionTimestamp() == nil || !inForeground(before) {
		return nil, false
	}
	after, err := meta.Accessor(updated)
	return before, err == nil && !inForeground(after)
}

func inForeground(object metav1.Object) bool {
	return slices.Contains(object.GetFinalizers(), metav1.FinalizerDeleteDependents)
}

// holders returns the members that may have something of the template, sorted.
func holders(binding *unstructured.Unstructured) []string {
	if binding == nil {
		return nil
	}
	read := &workv1alpha1.ResourceBinding{} // scopes differ in metadata alone
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(binding.Object, read); err != nil {
		return []string{"members that its binding does not tell: " + err.Error()}
	}
	members := read.Spec.Holders()
	for i := range read.Spec.Tombstones {
		members.Insert(read.Spec.Tombstones[i].ClusterName)
	}
	return sets.List(members)
}
