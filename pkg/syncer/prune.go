// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member"
)

// removalPatience is how long the mirror may take to show that a removed object is
// gone before the member is asked.
const removalPatience = 2 * time.Second

// prune makes a tombstone come true. This is the only place that deletes
// anything in a member.
func (s *session) prune(ctx context.Context, work *workv1alpha1.Work, record *record) outcome {
	order := orderOf(work)
	if done := record.ended; done != nil && done.order == order {
		return done.outcome
	}
	o := s.end(ctx, work, record)
	if o.deleted {
		o = s.leave(ctx, work.Name, record, order, o)
	}
	if o.deleted {
		record.ended = &ended{order: order, outcome: o}
	}
	return o
}

// orderOf returns what tells the order to let go of an object from earlier ones.
func orderOf(work *workv1alpha1.Work) order {
	return order{template: work.Spec.Template.UID, generation: work.Spec.Binding.Generation}
}

// end looks at what is left of the object of a tombstone and lets it go.
func (s *session) end(ctx context.Context, work *workv1alpha1.Work, record *record) outcome {
	t := record.target
	// 1. How does the member serve the kind?
	resource, o, ok := s.resourceToPrune(ctx, t)
	if !ok {
		return o
	}
	// 2. What does it have? A mirror that shows the object is enough to go by: the
	// deletion is for that very version of it. Otherwise the member is asked.
	mirror := s.observers.of(t.kind, resource)
	if record.removed != nil && record.removed.order != orderOf(work) {
		record.removed = nil // what was removed says nothing about what came since
	}
	if s.hasVanished(record) {
		return outcome{reason: workv1alpha1.AppliedReasonSuccess, deleted: true}
	}
	live, err := s.toEnd(ctx, resource, record, mirror)
	if err != nil {
		return failed(err, nil)
	}
	// 3. Let it go.
	end, why := decideEnd(t, live, string(work.Spec.Template.UID), s.fleetID, work.Spec.Orphan)
	grace := graceOf(work)
	if end == await && shortens(grace, live) {
		end = remove
	}
	switch end {
	case confirm:
		return outcome{reason: workv1alpha1.AppliedReasonSuccess, message: why, deleted: true}
	case release:
		return s.release(ctx, resource, t, live)
	case remove:
		record.order = orderOf(work)
		if t.isNamespace() {
			return s.removeNamespace(ctx, resource, record, live)
		}
		return s.remove(ctx, resource, record, live, grace)
	}
	return outcome{reason: workv1alpha1.AppliedReasonFailed, message: endingMessage(t, live), object: live, retry: later}
}

// graceOf returns how many seconds the object of a tombstone may take to end, nil for as
// many as it says itself.
func graceOf(work *workv1alpha1.Work) *int64 {
	if len(work.Spec.Workload.Manifests) != 1 {
		return nil
	}
	var named metav1.PartialObjectMetadata
	if err := json.Unmarshal(work.Spec.Workload.Manifests[0].Raw, &named); err != nil {
		return nil // it is not to stay for that
	}
	return named.DeletionGracePeriodSeconds
}

// shortens returns true when an object that is ending gets less time than it was given.
func shortens(grace *int64, live *observed) bool {
	return grace != nil && live.DeletionGracePeriodSeconds != nil && *grace < *live.DeletionGracePeriodSeconds
}

// toEnd returns the object of a tombstone, nil when there is none. What the mirror
// does not show, or what was not there any more in the version it showed, is read
// from the member.
func (s *session) toEnd(ctx context.Context, resource member.Resource, record *record, mirror *mirror[*observed]) (*observed, error) {
	if record.removed == nil && !record.outdated && mirror.hasSynced() {
		if live := s.latest(record, mirror); live != nil {
			return live, nil
		}
	}
	record.outdated = false
	return s.read(ctx, resource, record.target)
}

// hasVanished returns true once the mirror has seen the object go that was removed.
func (s *session) hasVanished(record *record) bool {
	if record.removed == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return record.gone == record.removed.uid
}

// resourceToPrune returns how the member serves the kind, in the version of the
// tombstone or else in any.
func (s *session) resourceToPrune(ctx context.Context, t target) (member.Resource, outcome, bool) {
	if resource, ok := serves(s.member.APIs(), t); ok {
		return resource, outcome{}, true
	}
	return s.lookForKind(ctx, t)
}

// serves returns how a member that serves apis serves the kind of the target, in its
// version or else in any.
func serves(apis *member.APIs, t target) (member.Resource, bool) {
	if resource, ok := apis.Resource(t.kind); ok {
		return resource, true
	}
	other, ok := apis.AnyVersion(t.kind.GroupKind())
	if !ok {
		return member.Resource{}, false
	}
	return apis.Resource(other)
}

// lookForKind asks the member about a kind that it is not known to serve. One that
// it neither serves nor defines has no objects. What was discovered some time ago
// does not tell: a CRD may come, or not be served for a moment.
func (s *session) lookForKind(ctx context.Context, t target) (member.Resource, outcome, bool) {
	apis, err := s.member.Look()
	if err != nil {
		s.member.Refresh()
		return member.Resource{}, outcome{retry: soon}, false
	}
	if resource, ok := serves(apis, t); ok {
		s.member.Refresh()
		return resource, outcome{}, true
	}
	hidden := apis.Uncertain(t.kind.Group)
	if !hidden {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		if hidden, err = s.member.Defines(ctx, t.kind.GroupKind()); err != nil {
			return member.Resource{}, failed(err, nil), false
		}
	}
	if hidden {
		s.member.Refresh()
		return member.Resource{}, refused(workv1alpha1.AppliedReasonKindNotServed,
			fmt.Sprintf("the member may have %s but does not serve %s now", t, t.kind.GroupKind()), nil, soon), false
	}
	return member.Resource{}, outcome{
		reason:  workv1alpha1.AppliedReasonSuccess,
		message: fmt.Sprintf("the member does not serve %s", t.kind.GroupKind()),
		deleted: true,
	}, false
}

// isMissing returns true when the member says that it has no such object. That it
// serves no such kind, for now, is another answer with the same code.
func isMissing(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// remove asks the member to delete the object as it was seen, in so many seconds. The mirror tells
// when it is gone; should it miss that, the object is looked for later.
func (s *session) remove(ctx context.Context, resource member.Resource, record *record, live *observed, grace *int64) outcome {
	t := record.target
	if message, wait := s.disown(record, t, live); wait {
		return awaitDependents(record, live, message)
	}
	background := metav1.DeletePropagationBackground
	err := s.deleteAsSeen(ctx, resource, t, live, metav1.DeleteOptions{PropagationPolicy: &background, GracePeriodSeconds: grace})
	switch {
	case isMissing(err):
		return outcome{reason: workv1alpha1.AppliedReasonSuccess, deleted: true}
	case apierrors.IsConflict(err):
		// It changed meanwhile, or was replaced: look again, at the member.
		record.outdated = true
		return outcome{retry: soon}
	case err != nil:
		deletes.WithLabelValues("error").Inc()
		return failed(fmt.Errorf("delete %s from member %q: %w", t, s.cluster, err), live)
	}
	deletes.WithLabelValues("success").Inc()
	klog.FromContext(ctx).V(2).Info("Deleted from member", "kind", t.kind.Kind, "object", t.key())
	record.removed = &removed{order: record.order, uid: live.UID}
	return outcome{object: live, retry: soon, after: removalPatience}
}

// release takes the fleet's marks off an object and leaves it running.
func (s *session) release(ctx context.Context, resource member.Resource, t target, live *observed) outcome {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	object, err := s.objects(resource, t).Get(ctx, t.name, metav1.GetOptions{})
	if isMissing(err) || err == nil && object.GetUID() != live.UID {
		return outcome{retry: soon}
	}
	if err != nil {
		return failed(err, live)
	}
	body, err := json.Marshal(releasePatch(object, s.traceOf(t, object)))
	if err != nil {
		return refused(workv1alpha1.AppliedReasonFailed, fmt.Sprintf("encode release of %s: %v", t, err), live, later)
	}
	_, err = s.objects(resource, t).Patch(ctx, t.name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: wellknown.FieldManager})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return outcome{retry: soon}
	case err != nil:
		return failed(fmt.Errorf("release %s in member %q: %w", t, s.cluster, err), live)
	}
	deletes.WithLabelValues("released").Inc()
	klog.FromContext(ctx).V(2).Info("Released in member", "kind", t.kind.Kind, "object", t.key())
	return outcome{reason: workv1alpha1.AppliedReasonSuccess, message: t.String() + " was released and stays", deleted: true}
}

// traceOf returns the annotations that stay on a released object: those by which
// the fleet knows what it created, and from which template. Namespaces are shared, never adopted again.
func (s *session) traceOf(t target, object *unstructured.Unstructured) map[string]any {
	if t.isNamespace() || object.GetAnnotations()[wellknown.AnnotationAdopted] == "true" {
		return nil
	}
	return map[string]any{
		wellknown.AnnotationCreatedBy:   s.fleetID,
		wellknown.AnnotationTemplateUID: object.GetAnnotations()[wellknown.AnnotationTemplateUID],
	}
}

// releasePatch is the merge patch that takes the fleet's marks off, but for the
// trace: labels, annotations, and what server-side apply holds for us. The stamp
// in Pod templates stays, to take it off would restart the Pods.
func releasePatch(object *unstructured.Unstructured, trace map[string]any) map[string]any {
	metadata := map[string]any{
		"resourceVersion": object.GetResourceVersion(),
		"uid":             string(object.GetUID()),
		"managedFields":   othersFields(object),
	}
	if others, ours := othersOwners(object); ours {
		metadata["ownerReferences"] = others // none at all is null
	}
	for field, values := range map[string]map[string]string{"labels": object.GetLabels(), "annotations": object.GetAnnotations()} {
		marks := map[string]any{}
		for key := range values {
			if strings.HasPrefix(key, wellknown.Domain+"/") {
				marks[key] = nil
			}
		}
		if field == "annotations" {
			maps.Copy(marks, trace)
		}
		if len(marks) > 0 {
			metadata[field] = marks
		}
	}
	return map[string]any{"metadata": metadata}
}

// othersFields returns the entries of managed fields that are not ours. When
// none are left it returns the one empty entry by which an API server knows that
// they are to be cleared.
func othersFields(object *unstructured.Unstructured) []any {
	all, _, _ := unstructured.NestedSlice(object.Object, "metadata", "managedFields")
	var others []any
	for _, item := range all {
		entry, ok := item.(map[string]any)
		if ok && entry["manager"] == wellknown.FieldManager && (entry["subresource"] == nil || entry["subresource"] == "") {
			continue
		}
		others = append(others, item)
	}
	if len(others) == 0 {
		return []any{map[string]any{}}
	}
	return others
}

// endingMessage says what an object that does not go waits for.
func endingMessage(t target, live *observed) string {
	if live == nil || len(live.Finalizers) == 0 {
		return t.String() + " is being deleted"
	}
	return fmt.Sprintf("%s is being deleted and waits for %s", t, strings.Join(live.Finalizers, ", "))
}

func isTrue(b *bool) bool { return b != nil && *b }
