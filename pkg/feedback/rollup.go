// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/health"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/rollup"
)

// derived is the status a template should have.
type derived struct {
	// template is nil when it is gone, or another one than that of the binding.
	template *unstructured.Unstructured
	status   map[string]any
	changed  bool
}

// rollUp makes the status of the binding's template and writes it if it differs.
// It returns after which time there will be something else to say.
//
// With peers, the binding is read again after the template. If another server
// wrote the template before, it wrote the binding before that, so the binding
// then read has what that server knew; if it writes the template later, this
// write or that one meets a conflict. So the last word has the server that knows
// most.
func (i *Intake) rollUp(ctx context.Context, name types.NamespacedName, binding workv1alpha1.Binding) (time.Duration, error) {
	resource := binding.GetSpec().Resource
	if len(omitted(binding.GetStatus())) > 0 {
		return 0, nil // what is known would make a status that is not so
	}
	live := false
	for range maxAttempts {
		members, err := membersOf(binding, i.options.Unreachable)
		if err != nil || !rollup.Needed(resource.GroupKind(), members) {
			return 0, err
		}
		d, err := i.derive(ctx, name, binding, members, live)
		if failed, ok := errors.AsType[*interpreter.Error](err); ok {
			// Another report may be read, or another customization read this one.
			return 0, i.noteTemplate(ctx, name, binding, templateProblem{reason: reasonNotInterpreted, message: failed.Error() + "; " + templateStays})
		}
		if err != nil {
			return 0, err
		}
		unsure := d.template == nil || !d.changed && i.options.Peers
		switch {
		case d.template == nil && len(members) == 0:
			// It was deleted, and no member has anything left to say. One that is
			// created anew is rolled up with its own event.
			return 0, nil
		case unsure && !live:
			live = true
			continue
		case d.template == nil:
			return 0, nil
		case !d.changed:
			return i.recheck(d), i.noteTemplate(ctx, name, binding, templateProblem{})
		}
		current, err := i.latest(ctx, name, binding)
		if err != nil || current == nil {
			return 0, err
		}
		if current.GetResourceVersion() != binding.GetResourceVersion() {
			binding = current
			continue
		}
		err = i.writeTemplate(ctx, name, d)
		switch {
		case err == nil:
			return i.recheck(d), i.noteTemplate(ctx, name, binding, templateProblem{})
		case isTooLarge(err):
			return 0, i.noteTemplate(ctx, name, binding, templateTooLarge)
		case apierrors.IsNotFound(err) && live:
			return 0, nil // a kind without a status subresource
		case !retryable(err):
			return 0, fmt.Errorf("write status of %s: %w", describe(resource), err)
		}
		live = true
	}
	return 0, fmt.Errorf("write status of %s: %w", describe(resource), errBusy)
}

// derive reads the template and computes its status.
func (i *Intake) derive(ctx context.Context, name types.NamespacedName, binding workv1alpha1.Binding, members []rollup.Member, live bool) (derived, error) {
	resource := binding.GetSpec().Resource
	template, err := i.readTemplate(ctx, name, resource, live)
	if apierrors.IsNotFound(err) || err == nil && template.GetUID() != resource.UID {
		return derived{}, nil
	}
	if err != nil {
		return derived{}, fmt.Errorf("read %s: %w", describe(resource), err)
	}
	i.interpreted.remember(template.GroupVersionKind(), name)
	status, changed, err := rollup.Status(template, members, i.options.Interpreter(), i.options.Clock.Now())
	if err != nil && status == nil {
		return derived{}, fmt.Errorf("make status of %s: %w", describe(resource), err)
	}
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Made status without some members", "template", klog.KObj(template), "err", err)
	}
	return derived{template: template, status: status, changed: changed}, nil
}

// recheck returns when the status changes by time alone.
func (i *Intake) recheck(d derived) time.Duration {
	after, _ := rollup.RecheckAfter(d.template, d.status, i.options.Clock.Now())
	return after
}

// latest returns the binding as it is now: the one given, unless there are peers.
// It is nil when the binding is gone.
func (i *Intake) latest(ctx context.Context, name types.NamespacedName, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	if !i.options.Peers {
		return binding, nil
	}
	current, err := i.options.Bindings.Get(ctx, name, true)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read binding %s: %w", name, err)
	}
	return current, nil
}

// writeTemplate writes the status. One that the API server refuses is given up:
// the next report may be better, the same one is not.
func (i *Intake) writeTemplate(ctx context.Context, name types.NamespacedName, d derived) error {
	updated := &unstructured.Unstructured{Object: maps.Clone(d.template.Object)}
	updated.Object["status"] = d.status
	stored, err := i.options.Templates.UpdateStatus(ctx, updated)
	if apierrors.IsInvalid(err) {
		refusals.Inc()
		klog.FromContext(ctx).Error(err, "Status of template was refused", "template", klog.KObj(d.template), "kind", d.template.GetKind())
		return nil
	}
	if err != nil {
		countConflict(targetTemplate, err)
		return err
	}
	writes.WithLabelValues(targetTemplate).Inc()
	i.written.remember(i.options.Clock.Now(), name, func(v *versions) { v.template = stored.GetResourceVersion() })
	klog.FromContext(ctx).V(4).Info("Wrote status of template", "template", klog.KObj(d.template), "kind", d.template.GetKind())
	return nil
}

// membersOf returns what the members that are to run the template reported about
// it. Those with a tombstone run something else, and those being evicted are not
// counted on any more.
func membersOf(binding workv1alpha1.Binding, unreachable func(member string) bool) ([]rollup.Member, error) {
	spec, status := binding.GetSpec(), binding.GetStatus()
	var members []rollup.Member
	for _, cluster := range targets(spec) {
		if buried(spec, cluster.Name) {
			continue
		}
		member := rollup.Member{Cluster: cluster.Name, Replicas: cluster.Replicas, Total: spec.Replicas, Health: health.Unknown, Unreachable: unreachable(cluster.Name)}
		if item := reportOf(status, cluster.Name, spec.Resource.UID); item != nil {
			fields, err := decodeStatus(item.Status)
			if err != nil {
				return nil, fmt.Errorf("read status of member %q in binding: %w", cluster.Name, err)
			}
			member.Applied, member.AppliedReason, member.AppliedMessage = item.Applied, item.AppliedReason, item.AppliedMessage
			member.Health = health.Health(item.Health)
			member.Status, member.TemplateGeneration = fields, item.TemplateGeneration
		}
		members = append(members, member)
	}
	return members, nil
}

// describe names a template in errors.
func describe(resource workv1alpha1.ObjectReference) string {
	if resource.Namespace == "" {
		return fmt.Sprintf("%s %q", resource.Kind, resource.Name)
	}
	return fmt.Sprintf("%s %q in namespace %q", resource.Kind, resource.Name, resource.Namespace)
}
