// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member"
)

// immutableWords are by what an API server says that a field cannot be changed. No
// machine-readable cause tells it from other invalid values.
var immutableWords = []string{
	"immutable",              // most kinds: Job, DaemonSet, Deployment selector, Secret type, PersistentVolumeClaim
	"may not be changed",     // PriorityClass
	"may not change",         // Service clusterIP, Pod
	"cannot be changed",      // custom resources
	"cannot change",          // RoleBinding roleRef
	"updates to statefulset", // StatefulSet
	"updates to provisioner", // StorageClass
	"updates to parameters",  // StorageClass
	"updates to reclaim",     // StorageClass
	"oldself",                // transition rules of custom resources without a message
}

// immutableFields returns the fields that a member refuses to change, sorted, and
// whether that is all it has against the object.
func immutableFields(err error) (fields []string, all bool) {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil, false
	}
	all = true
	for _, cause := range status.Status().Details.Causes {
		if saysImmutable(cause.Message) {
			fields = append(fields, cause.Field)
		} else {
			all = false
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields), all
}

func saysImmutable(message string) bool {
	message = strings.ToLower(message)
	return slices.ContainsFunc(immutableWords, func(words string) bool { return strings.Contains(message, words) })
}

// orphaning are the kinds whose Pods go on running while the object is recreated: the
// new one takes them over.
var orphaning = map[schema.GroupKind]bool{
	{Group: "apps", Kind: "StatefulSet"}: true,
}

// holdingData are the kinds that are never deleted to be created anew: with them
// would go what nobody can bring back.
var holdingData = map[schema.GroupKind]bool{
	{Kind: "Namespace"}:             true,
	{Kind: "PersistentVolume"}:      true,
	{Kind: "PersistentVolumeClaim"}: true,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true,
}

// keepsFromRecreating says why an object is not deleted to be created anew, nothing when
// it may be.
func (p *propagation) keepsFromRecreating(live *observed, onlyImmutable bool) string {
	switch {
	case holdingData[p.target.kind.GroupKind()]:
		return fmt.Sprintf("a %s is never recreated, with it would go what it holds; put the former value back, or use another name", p.target.kind.Kind)
	case p.work.Spec.RecreatePolicy != policyv1alpha1.RecreateOnImmutableChange:
		return "put the former value back, delete the object in the fleet and create it anew, or set recreatePolicy: OnImmutableChange in its policy"
	case p.finished():
		return "it is not recreated because it ran to its end; to run it once more, delete it in the fleet and create it anew"
	case owned(live, p.fleetID) == nil || live.adopted():
		return "it is not recreated because it was there before the fleet; put the former value back, or delete it in the member"
	case live.Labels[wellknown.LabelDeletionProtected] == wellknown.DeletionProtectedAlways:
		return fmt.Sprintf("it is not recreated because of its label %s; put the former value back, or take the label off", wellknown.LabelDeletionProtected)
	case !onlyImmutable:
		return "it is not recreated because that is not all the member has against it"
	case live.contentHash() == p.work.Spec.ContentHash:
		return "it was created as the fleet wants it, and the member changed that; recreating it would not help"
	case orphaning[p.target.kind.GroupKind()]:
		return p.keepsFromOrphaning(live)
	}
	return ""
}

// keepsFromOrphaning says why a StatefulSet is not deleted without its Pods, nothing
// when the new one would take them over. With them would go claims that the old one
// owns; left alone, they would keep the new one from creating its own.
func (p *propagation) keepsFromOrphaning(live *observed) string {
	taken, err := p.takesOver(live)
	switch {
	case err != nil:
		return "it is not recreated: " + err.Error()
	case !taken:
		return "it is not recreated because its Pods stay, and a new one would not take them over: the selectors of both have to match the labels of both Pod templates; " +
			"put the former selector and labels back, or delete the object in the fleet and create it anew"
	}
	return ""
}

// takesOver returns true when the StatefulSet in the member and the one wanted select
// the Pods of each other.
func (p *propagation) takesOver(live *observed) (bool, error) {
	running, err := live.decode()
	if err != nil {
		return false, err
	}
	desired, err := decodeDesired(p.work, p.fleetID)
	if err != nil {
		return false, err
	}
	forth, err := selectsPodsOf(running, desired)
	if err != nil {
		return false, err
	}
	back, err := selectsPodsOf(desired, running)
	return forth && back, err
}

// selectsPodsOf returns true when the selector of one StatefulSet matches the Pods of
// another.
func selectsPodsOf(one, other *unstructured.Unstructured) (bool, error) {
	var selecting, selected appsv1.StatefulSet
	for from, to := range map[*unstructured.Unstructured]*appsv1.StatefulSet{one: &selecting, other: &selected} {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, to); err != nil {
			return false, fmt.Errorf("read StatefulSet %s: %w", from.GetName(), err)
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(selecting.Spec.Selector)
	if err != nil {
		return false, fmt.Errorf("read selector of StatefulSet %s: %w", one.GetName(), err)
	}
	return selector.Matches(labels.Set(selected.Spec.Template.Labels)), nil
}

// turnedDown says what became of an object that the member did not take. Where the
// policy says so it is deleted, to be created anew.
func (p *propagation) turnedDown(ctx context.Context, err error, live *observed) outcome {
	o := failed(err, owned(live, p.fleetID))
	fields, all := immutableFields(err)
	if live == nil || len(fields) == 0 {
		return p.refuse(o, live)
	}
	o.reason = workv1alpha1.AppliedReasonImmutable
	why := p.keepsFromRecreating(live, all)
	if why == "" {
		err := p.rehearse(ctx, live)
		switch {
		case err == nil:
			return p.recreate(ctx, live, fields)
		case !spoke(err):
			return failed(err, live)
		}
		again := failed(err, live)
		o.retry, o.after = again.retry, again.after
		said := strings.ReplaceAll(message(err), rehearsalName(live), p.target.name)
		why = "it is not recreated because the member would not take a new one: " + said
	}
	o.message = fmt.Sprintf("%s. The member does not let %s be changed: %s", strings.TrimSuffix(o.message, "."), strings.Join(fields, ", "), why)
	return p.refuse(o, live)
}

// rehearse asks the member whether it would create the object, under another name and
// without storing it. That a field is immutable it says before it asks its admission:
// what that does not let in must not cost the object there is.
func (p *propagation) rehearse(ctx context.Context, live *observed) error {
	desired, err := decodeDesired(p.work, p.fleetID)
	if err != nil {
		return err
	}
	setOwners(desired, p.owners)
	desired.SetName(rehearsalName(live))
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := metav1.CreateOptions{FieldManager: wellknown.FieldManager, DryRun: []string{metav1.DryRunAll}}
	if _, err := p.objects(p.resource, p.target).Create(ctx, desired, options); err != nil {
		return fmt.Errorf("rehearse to create %s in member %q: %w", p.target, p.cluster, err)
	}
	return nil
}

// rehearsedName is how much of its name an object keeps in a rehearsal, so that it is
// not too long with what is added for any kind.
const rehearsedName = 40

// rehearsalName is the name under which an object is rehearsed: always the same for one,
// so that what the member says is as well.
func rehearsalName(live *observed) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(live.UID))
	kept := live.Name[:min(len(live.Name), rehearsedName)]
	return fmt.Sprintf("%s-%08x", strings.TrimRight(kept, "-._:"), hash.Sum32())
}

// recreate deletes the object. It is created as soon as it is gone.
func (p *propagation) recreate(ctx context.Context, live *observed, fields []string) outcome {
	propagation := metav1.DeletePropagationBackground
	if orphaning[p.target.kind.GroupKind()] {
		propagation = metav1.DeletePropagationOrphan
	}
	if message, wait := p.disown(p.record, p.target, live); wait {
		return p.recreating(live, message)
	}
	err := p.deleteAsSeen(ctx, p.resource, p.target, live, metav1.DeleteOptions{PropagationPolicy: &propagation})
	switch {
	case isMissing(err), apierrors.IsConflict(err):
		return outcome{object: live, retry: soon} // it changed meanwhile: look again
	case err != nil:
		deletes.WithLabelValues("error").Inc()
		return p.refuse(failed(fmt.Errorf("delete %s from member %q: %w", p.target, p.cluster, err), live), live)
	}
	deletes.WithLabelValues("recreated").Inc()
	klog.FromContext(ctx).V(2).Info("Deleted from member to be created anew", "kind", p.target.kind.Kind, "object", p.target.key(), "fields", fields)
	p.record.recreated, p.record.recreatedFor = live.UID, p.hash
	p.record.recreatedWhy = fmt.Sprintf("deleted and created anew, because the member does not let %s be changed", strings.Join(fields, ", "))
	return p.recreating(live, fmt.Sprintf("being deleted to be created anew, because the member does not let %s be changed", strings.Join(fields, ", ")))
}

// recreating is the outcome of a work whose object is being deleted to be created
// anew.
func (p *propagation) recreating(live *observed, message string) outcome {
	return outcome{reason: workv1alpha1.AppliedReasonRecreating, message: message, object: live, retry: soon, after: removalPatience}
}

// deleteAsSeen asks the member to delete an object, if it still is as it was seen.
func (s *session) deleteAsSeen(ctx context.Context, resource member.Resource, t target, live *observed, options metav1.DeleteOptions) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options.Preconditions = &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion}
	return s.objects(resource, t).Delete(ctx, t.name, options)
}
